//! A micro-batch in parts that several threads compute side by side, each from its beginning to its end: no thread waits for another
//! within an operation, and rows are padded to the longest of their part instead of the longest of all.
//!
//! How it is cut depends on the rows and the parameters, never on the threads: the number of threads changes nothing.

/// Tokens of a part at least, so that products with a matrix are worth its packing.
const TOKENS: usize = 512;

/// Tokens of each of two parts at least: threads that wait for each other in every operation cost more than a second packing.
const OF_TWO: usize = 128;

/// Numbers that the gradients of the parts beyond the first take together at most, 64 MiB.
const GRADIENTS: usize = 1 << 24;

/// Parts at most: more threads than these find work within an operation.
const PARTS: usize = 8;

/// Cuts rows of these lengths into parts of about as many tokens, as places in `lengths`. Rows of one part are alike in length.
pub(super) fn parts(lengths: &[usize], parameters: usize) -> Vec<Vec<usize>> {
    let tokens: usize = lengths.iter().sum();
    let count = (tokens / TOKENS)
        .max((tokens / OF_TWO).min(2))
        .min(1 + GRADIENTS / parameters.max(1))
        .clamp(1, PARTS);
    let mut places: Vec<usize> = (0..lengths.len()).collect();
    if count == 1 {
        return vec![places];
    }
    places.sort_by_key(|&place| std::cmp::Reverse(lengths[place]));
    let mut parts: Vec<Vec<usize>> = vec![Vec::new()];
    let mut taken = 0;
    for place in places {
        // A row begins a part when its middle lies beyond the share of those before.
        let share = tokens * parts.len() / count;
        if 2 * taken + lengths[place] > 2 * share && parts.len() < count {
            parts.push(Vec::new());
        }
        taken += lengths[place];
        if let Some(part) = parts.last_mut() {
            part.push(place);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_tokens_or_many_parameters_are_one_part_in_their_order() {
        let whole = vec![vec![0, 1, 2]];
        assert_eq!(parts(&[85, 85, 85], 1), whole);
        assert_eq!(parts(&[3000, 4000, 2000], GRADIENTS + 1), whole);
    }

    #[test]
    fn parts_hold_every_row_once_and_about_as_many_tokens() {
        let lengths: Vec<usize> = (0..50).map(|row| 40 + row * 37 % 300).collect();
        let tokens: usize = lengths.iter().sum();
        let parts = parts(&lengths, 1 << 20);
        assert_eq!(parts.len(), PARTS);
        let mut places = parts.concat();
        places.sort_unstable();
        assert_eq!(places, (0..50).collect::<Vec<_>>());
        for part in &parts {
            let of_part: usize = part.iter().map(|&place| lengths[place]).sum();
            assert!(of_part.abs_diff(tokens / PARTS) < 340, "{of_part}");
            let longest = part.iter().map(|&place| lengths[place]).max();
            assert_eq!(longest, Some(lengths[part[0]]));
        }
    }

    #[test]
    fn rows_of_one_length_are_cut_evenly() {
        for (rows, sizes) in [(4, vec![2, 2]), (16, vec![8, 8]), (32, vec![8; 4])] {
            let parts = parts(&vec![64; rows], 2_000_000);
            let found: Vec<usize> = parts.iter().map(Vec::len).collect();
            assert_eq!(found, sizes);
        }
    }
}
