//! cgset: create a control group, write its files, put the program in it.
#![cfg_attr(not(test), no_main)]

mod call;
mod cli;
mod controllers;
mod device_bpf;
mod facts;
mod group;
mod hint;
mod knobs;
mod label;
mod listing;
mod mark;
mod mounting;
mod moving;
mod place;
mod plan;
mod printing;
mod report;
mod shell;
mod stat;
mod sys;
mod tree;
mod usage;

use chain::Mode;

chain::entry!(cgset);

fn cgset(tool: &'static str) -> anyhow::Result<u8> {
    let cli: cli::Cli = chain::parse().map_err(cli::hint_at_dashes)?;
    let mode = Mode::new(cli.narration)?;
    let facts = facts::Facts::read(&cli)?;
    Ok(plan::plan(&cli, facts)?.carry_out(tool, &mode)?)
}
