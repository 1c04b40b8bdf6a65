//! What one call makes for another: the mount in hand, the new root, our own mounts in it, the user namespace, the user.

use crate::user::Account;
use chain::LoopDevice;
use nix::errno::Errno;
use nix::unistd::fchdir;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What one call makes for another.
pub struct State {
    /// The detached mount in hand.
    pub tree: Option<OwnedFd>,
    pub device: Option<LoopDevice>,
    pub root: Option<OwnedFd>,
    /// Our own mounts of kernel file systems, by path.
    pub mounts: Vec<(&'static str, OwnedFd)>,
    /// Whose ids a mount point made in an idmapped root must have.
    pub owner: Option<u32>,
    pub userns: Option<OwnedFd>,
    pub account: Account,
}

impl Default for State {
    fn default() -> State {
        let (tree, device, root, userns) = (None, None, None, None);
        State { tree, device, root, mounts: Vec::new(), owner: None, userns, account: Account::root() }
    }
}

impl State {
    /// The new root.
    pub fn root(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::EBADF)
    }

    /// The detached mount in hand.
    pub fn tree(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.tree.as_ref().map(AsFd::as_fd).ok_or(Errno::EBADF)
    }

    /// Our own mount at that path.
    pub fn mounted(&self, at: &str) -> Result<BorrowedFd<'_>, Errno> {
        self.mounts.iter().find(|(path, _)| *path == at).map(|(_, fd)| fd.as_fd()).ok_or(Errno::EBADF)
    }

    /// The descriptor to resolve `at` from, and what of it is left to resolve: below one of our own mounts nothing of the
    /// image takes part.
    pub fn nearest<'a>(&'a self, at: &'a Path) -> Result<(BorrowedFd<'a>, &'a Path), Errno> {
        for (path, fd) in &self.mounts {
            if let Ok(rest) = at.strip_prefix(path) {
                return Ok((fd.as_fd(), rest));
            }
        }
        Ok((self.root()?, at.strip_prefix("/").unwrap_or(at)))
    }

    /// Goes back to the new root, where every later path of ours begins.
    pub fn back_to_root(&self) -> Result<(), Errno> {
        fchdir(self.root()?)
    }
}
