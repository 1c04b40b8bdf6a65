//! nsexec: make or join namespaces, then become the program.
#![cfg_attr(not(test), no_main)]

mod call;
mod cli;
mod facts;
mod plan;
mod rtnl;

use chain::Mode;

chain::entry!(nsexec);

fn nsexec(tool: &'static str) -> anyhow::Result<u8> {
    let cli: cli::Cli = chain::parse()?;
    let mode = Mode::new(cli.narration)?;
    let facts = facts::Facts::read(&cli)?;
    plan::notice(&cli, &facts).into_iter().for_each(chain::say);
    Ok(plan::plan(cli, facts)?.carry_out(tool, &mode)?)
}
