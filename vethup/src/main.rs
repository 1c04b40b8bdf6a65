//! vethup: wire a network namespace, then become the program.
#![cfg_attr(not(test), no_main)]

mod address;
mod call;
mod cli;
mod facts;
mod hint;
mod list;
mod network;
mod nft;
mod plan;
mod rtnl;
mod shell;

use chain::Mode;

chain::entry!(vethup);

fn vethup(tool: &'static str) -> anyhow::Result<u8> {
    let cli: cli::Cli = chain::parse()?;
    let mode = Mode::new(cli.narration)?;
    let facts = facts::Facts::read(&cli, &mode)?;
    Ok(plan::plan(&cli, facts)?.carry_out(tool, &mode)?)
}
