//! vethup: wire a network namespace, then become the program.
#![cfg_attr(not(test), no_main)]

mod address;
mod call;
mod cli;
mod down;
mod facts;
mod firewall;
mod hint;
mod holder;
mod link;
mod list;
mod network;
mod nft;
mod pair;
mod plan;
mod route;
mod rtnl;
mod shell;
mod state;
mod uplink;

use chain::Mode;

chain::entry!(vethup);

fn vethup(tool: &'static str) -> anyhow::Result<u8> {
    let cli: cli::Cli = chain::parse()?;
    let mode = Mode::new(cli.narration)?;
    let facts = facts::Facts::read(&cli, &mode)?;
    let warnings = plan::warnings(&cli, &facts);
    let plan = plan::plan(&cli, facts)?;
    for line in warnings {
        chain::say(&format!("{tool}: {line}\n"));
    }
    Ok(plan.carry_out(tool, &mode)?)
}
