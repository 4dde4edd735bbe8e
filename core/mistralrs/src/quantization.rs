//! Names of the in-situ quantisations.

use driftgauge_problem::Problem;
use mistralrs::IsqType;

/// Every quantisation that mistral.rs 0.8.1 makes while loading, by the name used in specs.
const TYPES: [(&str, IsqType); 22] = [
    ("q4_0", IsqType::Q4_0),
    ("q4_1", IsqType::Q4_1),
    ("q5_0", IsqType::Q5_0),
    ("q5_1", IsqType::Q5_1),
    ("q8_0", IsqType::Q8_0),
    ("q8_1", IsqType::Q8_1),
    ("q2k", IsqType::Q2K),
    ("q3k", IsqType::Q3K),
    ("q4k", IsqType::Q4K),
    ("q5k", IsqType::Q5K),
    ("q6k", IsqType::Q6K),
    ("q8k", IsqType::Q8K),
    ("hqq4", IsqType::HQQ4),
    ("hqq8", IsqType::HQQ8),
    ("fp8", IsqType::F8E4M3),
    ("f8q8", IsqType::F8Q8),
    ("afq2", IsqType::AFQ2),
    ("afq3", IsqType::AFQ3),
    ("afq4", IsqType::AFQ4),
    ("afq6", IsqType::AFQ6),
    ("afq8", IsqType::AFQ8),
    ("mxfp4", IsqType::MXFP4),
];

/// The quantisation of that name, in any case.
///
/// # Errors
/// When there is none of that name: the message lists them all.
pub(crate) fn parse(name: &str) -> Result<IsqType, Problem> {
    let wanted = name.to_ascii_lowercase();
    let found = TYPES.iter().find(|(known, _)| *known == wanted);
    found.map(|&(_, isq)| isq).ok_or_else(|| {
        let known: Vec<&str> = TYPES.iter().map(|t| t.0).collect();
        Problem::failed(format!("unknown quantization `{name}`"))
            .help(format!("one of {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_mistral_rs() {
        for (name, isq) in TYPES {
            assert_eq!(mistralrs::parse_isq_value(name, None), Ok(isq));
            assert_eq!(parse(&name.to_uppercase()), Ok(isq));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let e = parse("q4_k_m").unwrap_err().to_string();
        assert!(e.contains("q4_k_m") && e.contains("q4k") && e.contains("q8_0"));
    }
}
