//! A plan as a POSIX shell script of classic commands: quoting, and the nesting of what runs inside what.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What a step is in shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shell {
    /// A line of its own.
    Line(OsString),
    /// Everything below runs inside this command, its words as the shell reads them; neighbours with the same command
    /// make one line.
    Enter(Vec<OsString>),
    /// The program is started through this command, likewise.
    Through(Vec<OsString>),
    /// Part of a command that stands elsewhere in the script: the why alone is printed.
    Implied,
    /// No classic command does this.
    Nothing,
    /// No classic command does this, and a script that went on without it would do more than was asked for.
    Refuse,
}

impl Shell {
    /// A line from its words, quoted where they need it.
    pub fn line<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Shell {
        Shell::Line(join(words))
    }

    /// A command that everything below runs inside, from its plain words.
    pub fn enter<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Shell {
        Shell::Enter(quote_all(words))
    }

    /// A command the program is started through, from its plain words.
    pub fn through<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Shell {
        Shell::Through(quote_all(words))
    }
}

/// A word as the shell must read it to get it back, whatever its bytes.
pub fn quote(word: &OsStr) -> OsString {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./:=,@%+-".contains(byte);
    if !word.is_empty() && word.as_bytes().iter().all(plain) {
        return word.to_owned();
    }
    let mut quoted = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

/// The words of a command, quoted, with a blank between them.
pub fn join<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> OsString {
    quote_all(words).join(OsStr::new(" "))
}

/// The words of a command, quoted.
pub fn quote_all<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Vec<OsString> {
    words.into_iter().map(|word| quote(word.as_ref())).collect()
}

/// A script in the making. Blocks nest as here-documents on descriptor 3, so stdin stays the program's.
pub(crate) struct Script {
    text: Vec<u8>,
    entering: Vec<OsString>,
    through: Vec<Vec<OsString>>,
    blocks: Vec<String>,
    label: String,
    /// The outermost block is the last thing of its script, and takes the place of the shell that reads it: what is
    /// process 1 outside a block is process 1 inside. Otherwise its exit status is kept for what comes after.
    is_last: bool,
}

impl Script {
    /// `label` ends the blocks of this tool; no outer tool of the chain may use the same.
    pub fn new(label: String, is_last: bool) -> Script {
        Script {
            text: Vec::new(),
            entering: Vec::new(),
            through: Vec::new(),
            blocks: Vec::new(),
            label,
            is_last,
        }
    }

    fn push_line(&mut self, line: &OsStr) {
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
    }

    /// Adds a step.
    pub fn step(&mut self, why: &str, shell: Shell) {
        let starts_anew = match &shell {
            Shell::Enter(words) => self.entering.first() != words.first(),
            Shell::Line(_) | Shell::Refuse => true,
            _ => false,
        };
        if starts_anew {
            self.begin_block();
        }
        let comment = match shell {
            Shell::Nothing | Shell::Refuse => format!("# no command does this: {why}"),
            _ => format!("# {why}"),
        };
        self.push_line(OsStr::new(&comment));
        match shell {
            Shell::Line(line) => self.push_line(&line),
            Shell::Enter(words) => merge(&mut self.entering, words),
            Shell::Through(words) => match self.through.last_mut() {
                Some(last) if last.first() == words.first() => merge(last, words),
                _ => self.through.push(words),
            },
            Shell::Refuse => {
                let message = quote(OsStr::new(&format!("no command does this: {why}")));
                let mut line = OsString::from("echo ");
                line.push(message);
                line.push(" >&2; exit 125");
                self.push_line(&line);
            }
            Shell::Implied | Shell::Nothing => {}
        }
    }

    fn begin_block(&mut self) {
        if self.entering.is_empty() {
            return;
        }
        let label = match self.blocks.len() {
            0 => self.label.clone(),
            depth => format!("{}_{depth}", self.label),
        };
        let is_left = !self.is_last && self.blocks.is_empty();
        let mut line = OsString::from(if is_left { "status=0\n" } else { "exec " });
        line.push(std::mem::take(&mut self.entering).join(OsStr::new(" ")));
        line.push(format!(" sh -e /dev/fd/3 3<<'{label}'{}", if is_left { " || status=$?" } else { "" }));
        self.push_line(&line);
        self.blocks.push(label);
    }

    /// What stands before the program's line, so far; the caller prints it, then the next tool's own script.
    pub fn opening(&mut self) -> Vec<u8> {
        self.begin_block();
        std::mem::take(&mut self.text)
    }

    /// The line that becomes the program, its words as the shell reads them; inside a block it must not inherit descriptor 3.
    pub fn program(&mut self, why: &str, words: &[OsString], nested: bool) {
        self.begin_block();
        let all: Vec<&OsStr> = self.through.iter().flatten().chain(words).map(OsString::as_os_str).collect();
        let mut line = OsString::from("exec ");
        line.push(all.join(OsStr::new(" ")));
        if nested || !self.blocks.is_empty() {
            line.push(" 3<&-");
        }
        self.push_line(OsStr::new(&format!("# {why}")));
        self.push_line(&line);
    }

    /// The ends of the blocks, innermost first.
    pub fn closing(mut self) -> Vec<u8> {
        while let Some(label) = self.blocks.pop() {
            self.push_line(OsStr::new(&label));
        }
        self.text
    }
}

/// Adds the arguments of `words` to a command that begins with the same word. A bare option gives way to the same one
/// with a value.
fn merge(command: &mut Vec<OsString>, words: Vec<OsString>) {
    let skip = usize::from(!command.is_empty());
    for word in words.into_iter().skip(skip) {
        match command.iter_mut().find(|other| is_with_value(other, &word) || is_with_value(&word, other)) {
            Some(other) if is_with_value(&word, other) => *other = word,
            Some(_) => {}
            None => command.push(word),
        }
    }
}

/// Whether `word` is the long option `bare` with a value: `--net=FILE` to `--net`.
fn is_with_value(word: &OsStr, bare: &OsStr) -> bool {
    let value = word.as_bytes().strip_prefix(bare.as_bytes());
    bare.as_bytes().starts_with(b"--") && value.is_some_and(|value| value.starts_with(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_the_shell_would_read_something_else() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"/bin/sh", b"/bin/sh"),
            (b"", b"''"),
            (b"a b", b"'a b'"),
            (b"it's", b"'it'\\''s'"),
            (b"\xff$(x)", b"'\xff$(x)'"),
        ];
        for (word, quoted) in cases {
            assert_eq!(quote(OsStr::from_bytes(word)).as_bytes(), quoted);
        }
    }

    #[test]
    fn an_option_with_a_value_stands_for_the_bare_one() {
        let command = |lists: &[&str]| {
            let mut command = Vec::new();
            lists.iter().for_each(|list| merge(&mut command, list.split(' ').map(OsString::from).collect()));
            command.join(OsStr::new(" "))
        };
        assert_eq!(command(&["unshare --pid --fork", "unshare --pid=b/pid"]), "unshare --pid=b/pid --fork");
        assert_eq!(command(&["unshare --net=b/net", "unshare --net"]), "unshare --net=b/net");
        assert_eq!(command(&["unshare --mount", "unshare --mount-proc=x"]), "unshare --mount --mount-proc=x");
    }

    #[test]
    fn neighbours_share_a_command_and_blocks_nest() {
        let mut script = Script::new("END".into(), true);
        script.step("own pids", Shell::enter(["unshare", "--pid", "--fork"]));
        script.step("own network", Shell::enter(["unshare", "--net"]));
        script.step("lo up", Shell::line(["ip", "link", "set", "lo", "up"]));
        script.step("a key ring", Shell::Nothing);
        script.step("no environment", Shell::through(["env", "-i"]));
        script.program("become it", &["/bin/sh".into()], false);
        let text = String::from_utf8(script.closing()).unwrap();
        assert_eq!(
            text,
            "# own pids\n# own network\nexec unshare --pid --fork --net sh -e /dev/fd/3 3<<'END'\n# lo up\n\
             ip link set lo up\n# no command does this: a key ring\n# no environment\n# become it\n\
             exec env -i /bin/sh 3<&-\nEND\n"
        );
    }
}
