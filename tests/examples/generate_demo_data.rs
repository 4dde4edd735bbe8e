//! Writes the demonstration's data files into `specs/data`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/data");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in driftgauge_tests::demo_data::generate(driftgauge_tests::demo_data::SEED) {
        println!("{name}: {} rows", text.lines().count());
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
