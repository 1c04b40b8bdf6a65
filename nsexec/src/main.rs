//! nsexec: make or join namespaces, then become the program.
#![cfg_attr(not(test), no_main)]

mod call;
mod cgroups;
mod cli;
mod facts;
mod ids;
mod join;
mod keep;
mod kept;
mod list;
mod plan;
mod process;
mod rendezvous;
mod rtnl;
mod status;
mod timens;

use chain::Mode;

chain::entry!(nsexec);

fn nsexec(tool: &'static str) -> anyhow::Result<u8> {
    let cli: cli::Cli = chain::parse()?;
    let mode = Mode::new(cli.narration)?;
    if cli.goes_among_others() && !matches!(mode, Mode::DryRun(_)) {
        if !chain::is_sealed_copy() {
            return Ok(chain::go_on_from_a_copy(tool, &mode)?);
        }
        chain::name_this_process(tool);
    }
    if let Some(errand) = facts::Errand::read(&cli)? {
        errand.notice().iter().for_each(|line| chain::say(line));
        return Ok(plan::keeping::errand(errand).carry_out(tool, &mode)?);
    }
    let facts = facts::Facts::read(&cli)?;
    plan::notice(&cli, &facts).into_iter().for_each(chain::say);
    Ok(plan::plan(cli, facts)?.carry_out(tool, &mode)?)
}
