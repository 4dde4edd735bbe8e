//! Seeds of samples: a number that depends on the seed, the prompt's id and the sample's index alone.

/// Key of the randomness of sample `index` of prompt `id`.
#[must_use]
pub fn sample_seed(seed: u64, id: &str, index: u32) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"driftgauge.sample.v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&index.to_le_bytes());
    hasher.update(id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::sample_seed;

    #[test]
    fn every_part_counts() {
        let seed = sample_seed(1, "a", 0);
        assert_eq!(seed, sample_seed(1, "a", 0));
        assert_ne!(seed, sample_seed(2, "a", 0));
        assert_ne!(seed, sample_seed(1, "b", 0));
        assert_ne!(seed, sample_seed(1, "a", 1));
    }
}
