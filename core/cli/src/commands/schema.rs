//! `driftgauge schema`: prints the JSON schema of the spec language.

use driftgauge_problem::Result;

use crate::exit::Exit;

pub(crate) fn run() -> Result<Exit> {
    print!("{}", driftgauge_spec::schema_json());
    Ok(Exit::Done)
}
