//! pivot: make a directory or an image the root, give up privileges, become the program.
#![cfg_attr(not(test), no_main)]

mod call;
mod cli;
mod facts;
mod hint;
mod idmap;
mod image;
mod inherited;
mod inside;
mod mask;
mod mountfd;
mod pipes;
mod plan;
mod privileges;
mod program;
mod resolver;
mod shell;
mod source;
mod state;
mod sys;
mod tree;
mod user;

use chain::Mode;

chain::entry!(pivot);

fn pivot(tool: &'static str) -> anyhow::Result<u8> {
    let cli: cli::Cli = chain::parse()?;
    let mode = Mode::new(cli.narration)?;
    let facts = facts::Facts::read(&cli, &mode)?;
    facts.notice(&cli).into_iter().for_each(chain::say);
    Ok(plan::plan(cli, facts)?.carry_out(tool, &mode)?)
}
