//! The parent of one guest's processes: `hull-shim RUN_DIR`.
//!
//! One thread and one loop around poll(2). It is started by the daemon and outlives it: it talks to
//! whoever connects to `RUN_DIR/shim.sock`. As soon as that can be connected to, it writes
//! [`hull_shim::plan::LISTENING`] to its standard output and lets go of it; a reason why that will
//! never happen goes to standard error.

mod attachment;
mod child;
mod children;
mod connection;
mod exit_file;
mod guest;
mod input;
mod output;
mod prepare;
mod requests;
mod round;
mod supervisor;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use hull_shim::plan::ShimPlan;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(run_dir), None) = (args.next(), args.next()) else {
        return fail(&"usage: hull-shim RUN_DIR (started by the hull daemon, not by hand)");
    };
    if run_dir == hull_shim::plan::HOLD {
        // In a scope that would end if nothing were in it. Whoever started us closes this.
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map(drop).unwrap_or_default();
        return ExitCode::SUCCESS;
    }
    match run(Path::new(&run_dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn run(run_dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    prepare::isolate()?;
    let plan = ShimPlan::read(run_dir)?;
    // Before anybody can ask for the guest to start.
    let _ids_until_the_end = plan.ids.as_ref().map(hull_shim::plan::IdLock::hold).transpose()?;
    let socket = prepare::Socket::bind(run_dir)?;
    let _held_to_the_end = prepare::announce_and_let_go()?;
    let ended = hull_sys::supervise::watch_children()?;
    supervisor::run(&plan, (socket, ended));
    Ok(())
}

fn fail(error: &(impl std::fmt::Display + ?Sized)) -> ExitCode {
    // There is nobody left to tell if this fails.
    writeln!(std::io::stderr(), "hull-shim: {error}").unwrap_or_default();
    ExitCode::FAILURE
}
