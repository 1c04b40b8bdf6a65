//! What helps whoever lacks a right: to be root; and whoever is root already to know what keeps their root from it.

use crate::caps::CapSet;
use crate::namespace::in_user_namespace;

/// The cure for who lacks what `capability` of capabilities(7) gives, as the end of a hint.
pub fn be_root(capability: &str) -> String {
    let has_it = || match (CapSet::parse(capability), CapSet::permitted()) {
        (Ok(wanted), Ok(own)) => own.and(wanted) == wanted,
        _ => true,
    };
    match nix::unistd::geteuid().is_root() {
        false => "run it as root".into(),
        true => of_root(capability, in_user_namespace(), has_it()),
    }
}

/// What is lacking, and that cure.
pub fn takes(capability: &str) -> String {
    format!("that takes {capability}: {}", be_root(capability))
}

fn of_root(capability: &str, is_mapped: bool, has_it: bool) -> String {
    match (is_mapped, has_it) {
        (true, _) => "this root is one of a user namespace, run it outside".into(),
        (false, false) => format!("this root lacks {capability}, as in a container, run it on the host"),
        (false, true) => "this root has the right to, so a security module of the kernel forbids it".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_told_what_keeps_it_from_it_and_not_to_be_root() {
        let outside = "this root is one of a user namespace, run it outside";
        assert_eq!(of_root("CAP_SYS_ADMIN", true, true), outside);
        assert_eq!(of_root("CAP_SYS_ADMIN", true, false), outside);
        let on_the_host = "this root lacks CAP_SYS_PTRACE, as in a container, run it on the host";
        assert_eq!(of_root("CAP_SYS_PTRACE", false, false), on_the_host);
        assert!(of_root("CAP_SYS_PTRACE", false, true).contains("security module"));
    }
}
