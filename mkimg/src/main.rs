//! mkimg: a file system in a file.
#![cfg_attr(not(test), no_main)]

mod archive;
mod call;
mod cli;
mod content;
mod facts;
mod holders;
mod image;
mod inode;
mod list;
mod mkfs;
mod pax;
mod plan;
mod progress;
mod script;
mod sparse;
mod sys;
mod temporary;
mod tree;
mod unpack;
mod writer;

use chain::Mode;

chain::entry!(mkimg);

fn mkimg(tool: &'static str) -> anyhow::Result<u8> {
    // Ignored, as some launchers leave it, SIGCHLD would hide how mkfs ended; no program inherits it from here.
    chain::set_default(nix::sys::signal::Signal::SIGCHLD)?;
    let cli: cli::Cli = chain::parse()?;
    let mode = Mode::new(cli.narration)?;
    let facts = facts::Facts::read(&cli, &mode)?;
    Ok(plan::plan(&cli, facts)?.carry_out(tool, &mode)?)
}
