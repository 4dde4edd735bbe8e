//! `driftgauge schema`: prints the JSON schema of the spec language.

use anyhow::Result;

use crate::exit::Exit;

pub(crate) fn run() -> Result<Exit> {
    print!("{}", driftgauge_spec::schema_json());
    Ok(Exit::Done)
}
