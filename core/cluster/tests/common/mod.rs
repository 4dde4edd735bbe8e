//! What simulated queues share.

use std::path::PathBuf;

use driftgauge_cluster::{Array, Prepared, Resources};

/// A draw that the seed alone decides.
pub(crate) fn draw(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A try of a piece of work, of which a simulated queue reads the name and the tasks alone.
pub(crate) fn prepared(work: &str, number: u32, array: Option<Array>) -> Prepared {
    Prepared {
        number,
        name: format!("{work}.{number}"),
        script: PathBuf::new(),
        log: PathBuf::new(),
        resources: Resources::default(),
        array,
    }
}
