//! The `driftgauge` binary: reads the command line and hands over.

mod args;
mod commands;
mod eta;
mod exit;
mod generation;
mod grouped;
mod hub;
mod machine;
mod metrics;
mod places;
mod progress;
mod worker;

use driftgauge_record::visible;
use mimalloc::MiMalloc;

use args::Command;
use exit::Exit;

// Training and inference make and drop large buffers all the time; the system's allocator gives each back to the kernel.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    let command = grouped::parse().command;
    // In a worker the end of the process is the plugin's own affair.
    if !matches!(command, Command::PluginWorker(_)) {
        driftgauge_plugin_host::guard_exit();
    }
    // A library's panic that becomes an error is told by that error alone.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !driftgauge_problem::is_guarded() {
            usual(panic);
        }
    }));
    let outcome = match command {
        Command::Check(args) => commands::check::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Schema => commands::schema::run(),
        Command::Init(args) => commands::init::run(&args),
        Command::Plugin { command } => commands::plugin::run(&command),
        Command::Cache { command } => commands::cache::run(&command),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Completions(args) => Ok(commands::documentation::completions(&args)),
        Command::Man(args) => commands::documentation::man(&args),
        Command::Status(args) => commands::jobs::status(&args),
        Command::Cancel(args) => commands::jobs::cancel(&args),
        Command::Worker => worker::run(),
        Command::Job(args) => commands::job::run(&args),
        Command::PluginWorker(args) => commands::plugin_worker::run(args),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {}", visible(&error.to_string()));
            Exit::from(error.blame).into()
        }
    }
}
