//! Our side of `tests/python/check_peft_adapter.py`: merges an adapter into its base and prints the logits after the last
//! token of each given row, computed with the adapter beside the base's weights and with the merged folder.
//!
//! Usage: `export_logits BASE ADAPTER MERGED IDS.json`; `MERGED` is written, `IDS.json` holds lists of token ids.

use std::error::Error;
use std::path::Path;

use driftgauge_lm::{Compute, Scorer, merge};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, adapter, merged, ids] = arguments.as_slice() else {
        return Err("usage: export_logits BASE ADAPTER MERGED IDS.json".into());
    };
    let (base, adapter, merged) = (Path::new(base), Path::new(adapter), Path::new(merged));
    let rows: Vec<Vec<u32>> = serde_json::from_slice(&std::fs::read(ids)?)?;
    merge(base, adapter, merged)?;
    let logits = |scorer: &Scorer| -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
        let rows = rows.iter().map(|row| scorer.next_token_logits(row));
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let result = serde_json::json!({
        "adapter": logits(&Scorer::load_with_adapter(base, adapter, &Compute::cpu())?)?,
        "merged": logits(&Scorer::load(merged, &Compute::cpu())?)?,
    });
    println!("{result}");
    Ok(())
}
