//! The unsafe lines of cgset: bpf(2), which no crate of ours wraps.
#![allow(unsafe_code)]

use crate::device_bpf::Instruction;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

// linux/bpf.h
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

const _: () = assert!(size_of::<Instruction>() == 8);

/// `union bpf_attr`: fields at the places linux/bpf.h gives them, the rest zero. It is larger than any kernel's so far: some
/// write an answer behind the fields of the command.
#[repr(C, align(8))]
struct Attributes([u8; 256]);

impl Attributes {
    fn new() -> Attributes {
        Attributes([0; 256])
    }

    fn word(mut self, at: usize, value: u32) -> Attributes {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn fd(self, at: usize, fd: BorrowedFd) -> Attributes {
        self.word(at, fd.as_raw_fd() as u32)
    }

    fn address<T>(mut self, at: usize, pointer: *const T) -> Attributes {
        self.0[at..at + 8].copy_from_slice(&(pointer as u64).to_ne_bytes());
        self
    }

    fn word_at(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    /// bpf(2).
    ///
    /// # Safety
    /// What the addresses in it point to is live, and as large as the lengths beside them say.
    unsafe fn call(&mut self, command: libc::c_int) -> libc::c_long {
        // SAFETY: the union is live and has the size that is given; the rest is the caller's promise.
        unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) }
    }
}

/// BPF_PROG_LOAD of a program about devices.
pub fn load_device_program(program: &[Instruction], name: &str) -> Result<OwnedFd, Errno> {
    let license = c"Dual MIT/GPL";
    let mut attributes = Attributes::new()
        .word(0, BPF_PROG_TYPE_CGROUP_DEVICE)
        .word(4, program.len() as u32)
        .address(8, program.as_ptr())
        .address(16, license.as_ptr());
    let length = name.len().min(15);
    attributes.0[48..48 + length].copy_from_slice(&name.as_bytes()[..length]);
    // SAFETY: program and licence outlive the call, and the length is the program's.
    chain::own(unsafe { attributes.call(BPF_PROG_LOAD) })
}

/// BPF_PROG_ATTACH to a group, beside other programs or in place of one.
pub fn attach_device_program(
    group: BorrowedFd,
    program: BorrowedFd,
    replaced: Option<BorrowedFd>,
) -> Result<(), Errno> {
    let flags = BPF_F_ALLOW_MULTI | if replaced.is_some() { BPF_F_REPLACE } else { 0 };
    let mut attributes =
        Attributes::new().fd(0, group).fd(4, program).word(8, BPF_CGROUP_DEVICE).word(12, flags);
    if let Some(replaced) = replaced {
        attributes = attributes.fd(16, replaced);
    }
    // SAFETY: there are numbers in it only.
    Errno::result(unsafe { attributes.call(BPF_PROG_ATTACH) }).map(drop)
}

/// BPF_PROG_DETACH of one program from a group.
pub fn detach_device_program(group: BorrowedFd, program: BorrowedFd) -> Result<(), Errno> {
    let mut attributes = Attributes::new().fd(0, group).fd(4, program).word(8, BPF_CGROUP_DEVICE);
    // SAFETY: there are numbers in it only.
    Errno::result(unsafe { attributes.call(BPF_PROG_DETACH) }).map(drop)
}

/// BPF_PROG_QUERY: the numbers of the programs attached to a group itself, at most 64, which is the kernel's own limit.
pub fn device_programs(group: BorrowedFd) -> Result<Vec<u32>, Errno> {
    let mut numbers = [0u32; 64];
    let mut attributes = Attributes::new()
        .fd(0, group)
        .word(4, BPF_CGROUP_DEVICE)
        .address(16, numbers.as_mut_ptr())
        .word(24, numbers.len() as u32);
    // SAFETY: the array outlives the call and is as long as is said.
    Errno::result(unsafe { attributes.call(BPF_PROG_QUERY) })?;
    let count = (attributes.word_at(24) as usize).min(numbers.len());
    Ok(numbers[..count].to_vec())
}

/// BPF_PROG_GET_FD_BY_ID.
pub fn program_by_id(number: u32) -> Result<OwnedFd, Errno> {
    let mut attributes = Attributes::new().word(0, number);
    // SAFETY: there is a number in it only.
    chain::own(unsafe { attributes.call(BPF_PROG_GET_FD_BY_ID) })
}

/// The name of a program, of `struct bpf_prog_info`.
pub fn program_name(program: BorrowedFd) -> Result<String, Errno> {
    let mut info = [0u64; 32];
    let mut attributes =
        Attributes::new().fd(0, program).word(4, size_of_val(&info) as u32).address(8, info.as_mut_ptr());
    // SAFETY: the array outlives the call and has the size that is given; all zero it asks for no further buffer.
    Errno::result(unsafe { attributes.call(BPF_OBJ_GET_INFO_BY_FD) })?;
    let bytes: Vec<u8> = info[8..10].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}
