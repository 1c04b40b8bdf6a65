//! Device rules in version 2: a program the kernel runs whenever a member of the group opens or makes a device. It is
//! written here, instruction by instruction. kernel: Documentation/bpf/standardization/instruction-set.rst, bpf(2).

use crate::knobs::device::{ANY_ACCESS, Rule, Rules};
use crate::sys;
use chain::{Answer, Refusal, quoted};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// `struct bpf_insn` of linux/bpf.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    code: u8,
    /// The register written to in the lower half, the one read from in the upper.
    registers: u8,
    /// How many instructions a jump skips, or where a field begins.
    offset: i16,
    number: i32,
}

// The operations used, of linux/bpf_common.h and linux/bpf.h.
const LOAD_WORD: u8 = 0x61; // BPF_LDX|BPF_MEM|BPF_W
const COPY: u8 = 0xbf; // BPF_ALU64|BPF_MOV|BPF_X
const SET: u8 = 0xb7; // BPF_ALU64|BPF_MOV|BPF_K
const AND: u8 = 0x57; // BPF_ALU64|BPF_AND|BPF_K
const SHIFT_RIGHT: u8 = 0x77; // BPF_ALU64|BPF_RSH|BPF_K
const SKIP_UNLESS: u8 = 0x55; // BPF_JMP|BPF_JNE|BPF_K
const SKIP_UNLESS_SAME: u8 = 0x5d; // BPF_JMP|BPF_JNE|BPF_X
const END: u8 = 0x95; // BPF_JMP|BPF_EXIT

// Who holds what. 0 is the answer and 1 the question, by the kernel's choice.
const ANSWER: u8 = 0;
const QUESTION: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 1;

/// `BPF_DEVCG_DEV_*`.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// By which a program of ours is known among others'.
const NAME: &str = "boxutils_device";

fn does(code: u8, to: u8, from: u8, offset: i16, number: i32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset, number }
}

/// The program for a list: 1 where a rule allows all of what is asked for, else 0.
pub fn program(rules: &[Rule]) -> Vec<Instruction> {
    // struct bpf_cgroup_dev_ctx: access in the upper half of the first word and kind in the lower, major, minor.
    let mut program = vec![
        does(LOAD_WORD, KIND, QUESTION, 0, 0),
        does(COPY, ACCESS, KIND, 0, 0),
        does(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        does(AND, KIND, 0, 0, 0xffff),
        does(LOAD_WORD, MAJOR, QUESTION, 4, 0),
        does(LOAD_WORD, MINOR, QUESTION, 8, 0),
    ];
    for rule in rules {
        program.extend(rule_in_program(rule));
    }
    program.extend([does(SET, ANSWER, 0, 0, 0), does(END, 0, 0, 0, 0)]);
    program
}

/// A rule: each test that fails skips the rest of it.
fn rule_in_program(rule: &Rule) -> Vec<Instruction> {
    let kind = if rule.is_block { BLOCK } else { CHARACTER };
    let mut tests = vec![does(SKIP_UNLESS, KIND, 0, 0, kind)];
    if rule.access != ANY_ACCESS {
        tests.push(does(COPY, SCRATCH, ACCESS, 0, 0));
        tests.push(does(AND, SCRATCH, 0, 0, rule.access as i32));
        tests.push(does(SKIP_UNLESS_SAME, SCRATCH, ACCESS, 0, 0));
    }
    tests.extend(rule.major.map(|major| does(SKIP_UNLESS, MAJOR, 0, 0, major as i32)));
    tests.extend(rule.minor.map(|minor| does(SKIP_UNLESS, MINOR, 0, 0, minor as i32)));
    tests.extend([does(SET, ANSWER, 0, 0, 1), does(END, 0, 0, 0, 0)]);
    let length = tests.len();
    for (at, test) in tests.iter_mut().enumerate() {
        if [SKIP_UNLESS, SKIP_UNLESS_SAME].contains(&test.code) {
            test.offset = (length - at - 1) as i16;
        }
    }
    tests
}

/// The program that judged before and the one that does now; none where there is none.
#[derive(Default)]
pub struct Programs {
    before: Option<OwnedFd>,
    now: Option<OwnedFd>,
}

/// The calls as strace prints them. `before` is the number of the program that is replaced.
pub fn told(directory: &Path, rules: &Rules, before: Option<u32>) -> String {
    let group = quoted(directory);
    let Rules::Only(list) = rules else {
        return format!("bpf(BPF_PROG_DETACH, {{target_fd={group}, attach_type=BPF_CGROUP_DEVICE}})");
    };
    let replace =
        before.map_or(String::new(), |number| format!("|BPF_F_REPLACE, replace_bpf_fd={{id {number}}}"));
    format!(
        "bpf(BPF_PROG_LOAD, {{prog_type=BPF_PROG_TYPE_CGROUP_DEVICE, insn_cnt={}, insns={{{rules}}}, prog_name=\"{NAME}\"}})\n\
         bpf(BPF_PROG_ATTACH, {{target_fd={group}, attach_type=BPF_CGROUP_DEVICE, attach_flags=BPF_F_ALLOW_MULTI{replace}}})",
        program(list).len()
    )
}

/// Puts a program in place of the one `before`. Those of others, as systemd's, stay: what any of them refuses is refused.
///
/// # Errors
/// The call that was refused.
pub fn set(directory: &Path, rules: &Rules, before: Option<u32>) -> Result<(Answer, Programs), Refusal> {
    let group = open_group(directory)?;
    let before = before.map(program_of).transpose()?.flatten();
    let Rules::Only(list) = rules else {
        let Some(old) = before else { return Ok((Answer::AlreadyThere, Programs::default())) };
        sys::detach_device_program(group.as_fd(), old.as_fd())
            .map_err(|errno| Refusal::at("bpf(BPF_PROG_DETACH)", errno))?;
        return Ok((Answer::zero(), Programs { before: Some(old), now: None }));
    };
    let new = sys::load_device_program(&program(list), NAME)
        .map_err(|errno| Refusal::at("bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_CGROUP_DEVICE})", errno))?;
    attach(&group, &new, before.as_ref())?;
    Ok((Answer::zero(), Programs { before, now: Some(new) }))
}

/// Puts back what [`set`] replaced.
///
/// # Errors
/// The call that was refused.
pub fn restore(directory: &Path, programs: &Programs) -> Result<Answer, Refusal> {
    let group = open_group(directory)?;
    match programs {
        Programs { before: Some(before), now } => attach(&group, before, now.as_ref())?,
        Programs { before: None, now: Some(now) } => {
            sys::detach_device_program(group.as_fd(), now.as_fd())
                .map_err(|errno| Refusal::at("bpf(BPF_PROG_DETACH)", errno))?;
        }
        _ => return Ok(Answer::AlreadyThere),
    }
    Ok(Answer::zero())
}

/// The number of the program of ours that is attached to a group itself. None also without the right to ask.
pub fn attached(directory: &Path) -> Option<u32> {
    let group = open_group(directory).ok()?;
    let numbers = sys::device_programs(group.as_fd()).ok()?;
    let is_ours = |number: &u32| {
        let program = program_of(*number).ok().flatten();
        program.and_then(|program| sys::program_name(program.as_fd()).ok()).as_deref() == Some(NAME)
    };
    numbers.into_iter().find(is_ours)
}

/// None where it is gone meanwhile.
fn program_of(number: u32) -> Result<Option<OwnedFd>, Refusal> {
    match sys::program_by_id(number) {
        Err(Errno::ENOENT) => Ok(None),
        answer => answer
            .map(Some)
            .map_err(|errno| Refusal::at(format!("bpf(BPF_PROG_GET_FD_BY_ID, {{prog_id={number}}})"), errno)),
    }
}

fn open_group(directory: &Path) -> Result<OwnedFd, Refusal> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(directory, flags, Mode::empty())
        .map_err(|errno| Refusal::at(format!("open({}, O_DIRECTORY)", quoted(directory)), errno))
}

fn attach(group: &OwnedFd, program: &OwnedFd, replaced: Option<&OwnedFd>) -> Result<(), Refusal> {
    let attached = sys::attach_device_program(group.as_fd(), program.as_fd(), replaced.map(AsFd::as_fd));
    match (attached, replaced) {
        // The one to replace was detached meanwhile.
        (Err(Errno::ENOENT), Some(_)) => attach(group, program, None),
        (answer, _) => answer.map_err(|errno| {
            Refusal::at(
                "bpf(BPF_PROG_ATTACH, {attach_type=BPF_CGROUP_DEVICE, attach_flags=BPF_F_ALLOW_MULTI})",
                errno,
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knobs::device::parse;

    /// Runs a program as the kernel would: registers, no memory but the question.
    fn answer(program: &[Instruction], kind: u32, major: u32, minor: u32, access: u32) -> u64 {
        let question = [access << 16 | kind, major, minor];
        let mut registers = [0u64; 6];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, number } = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            at += 1;
            match code {
                LOAD_WORD => registers[to] = question[offset as usize / 4].into(),
                COPY => registers[to] = registers[from],
                SET => registers[to] = number as u64,
                AND => registers[to] &= number as u64,
                SHIFT_RIGHT => registers[to] >>= number,
                SKIP_UNLESS if registers[to] != number as u64 => at += offset as usize,
                SKIP_UNLESS_SAME if registers[to] != registers[from] => at += offset as usize,
                SKIP_UNLESS | SKIP_UNLESS_SAME => {}
                END => return registers[0],
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_answers_as_its_rules_say() {
        let Some(Rules::Only(rules)) = parse(&["c 1:3 rw", "b *:* m", "c 5:* rwm", "c *:9 r"]).unwrap()
        else {
            panic!("rules")
        };
        let program = program(&rules);
        let (block, character) = (1, 2);
        let (make, read, write) = (1, 2, 4);
        for (kind, major, minor, access, wanted) in [
            (character, 1, 3, read, 1),
            (character, 1, 3, write, 1),
            (character, 1, 3, read | write, 1),
            (character, 1, 3, make, 0),
            (character, 1, 3, read | make, 0),
            (block, 1, 3, read, 0),
            (character, 1, 5, read, 0),
            (character, 2, 3, read, 0),
            (block, 259, 70000, make, 1),
            (block, 8, 0, write, 0),
            (character, 5, 2, read | write | make, 1),
            (character, 77, 9, read, 1),
            (character, 77, 9, write, 0),
        ] {
            let said = answer(&program, kind, major, minor, access);
            assert_eq!(said, wanted, "{kind} {major}:{minor} {access}");
        }
        assert_eq!(answer(&super::program(&[]), character, 1, 3, read), 0);
    }
}
