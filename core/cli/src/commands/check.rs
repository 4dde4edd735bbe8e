//! `driftgauge check`: reads a spec and reports everything that is wrong with it, without looking at other files.

use anyhow::Result;
use driftgauge_spec::{render_human, render_json};

use super::load;
use crate::args::{CheckArgs, Format};
use crate::exit::Exit;

pub(crate) fn run(args: &CheckArgs) -> Result<Exit> {
    match load::read(&args.spec)? {
        Ok(loaded) => {
            match args.format {
                Format::Json => println!("[]"),
                Format::Text => println!(
                    "{}: `{}` is well-formed",
                    args.spec.spec.display(),
                    loaded.spec.name
                ),
            }
            Ok(Exit::Done)
        }
        Err((source, diagnostics)) => {
            match args.format {
                Format::Json => println!("{}", render_json(&source, &diagnostics)),
                Format::Text => eprint!("{}", render_human(&source, &diagnostics)),
            }
            Ok(Exit::Usage)
        }
    }
}
