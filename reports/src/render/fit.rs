//! The room of a page: it stays below ten megabytes whatever a run holds. Parts that are larger than the others give way first, and each
//! says what it left out and where that is.

use crate::ReportError;

/// Bytes of a page, about: what a browser opens at once and mail still takes.
pub(super) const PAGE: usize = 9_500_000;
/// Rows of a table where there is room.
const ROWS: usize = 4_000;

/// Draws a part of the page in about so many bytes.
pub(super) type Draw<'a> = Box<dyn Fn(usize) -> Result<String, ReportError> + 'a>;

/// Draws all parts in `room` bytes: those that fit an equal share of it stay whole, the others share what is left.
pub(super) fn fitted(parts: &[Draw<'_>], room: usize) -> Result<Vec<String>, ReportError> {
    let mut drawn: Vec<String> = parts
        .iter()
        .map(|draw| draw(room))
        .collect::<Result<_, _>>()?;
    let sizes: Vec<usize> = drawn.iter().map(String::len).collect();
    let share = share(&sizes, room);
    for (part, draw) in drawn.iter_mut().zip(parts) {
        if part.len() > share {
            *part = draw(share)?;
        }
    }
    Ok(drawn)
}

/// The largest size that every part may have so that all of them fit.
fn share(sizes: &[usize], room: usize) -> usize {
    let mut sorted = sizes.to_vec();
    sorted.sort_unstable();
    let mut left = room;
    for (place, size) in sorted.iter().enumerate() {
        let equal = left / (sorted.len() - place);
        if *size > equal {
            return equal;
        }
        left -= size;
    }
    room
}

/// Draws tables with as many rows as have room: `draw` is given the most rows of each.
pub(super) fn with_rows(
    room: usize,
    draw: impl Fn(usize) -> Result<String, ReportError>,
) -> Result<String, ReportError> {
    let mut rows = ROWS;
    loop {
        let text = draw(rows)?;
        if text.len() <= room || rows == 0 {
            return Ok(text);
        }
        // In proportion, and a little less: heads and sentences take room as well.
        let fitting = (rows as f64 * room as f64 / text.len() as f64 * 0.9) as usize;
        rows = fitting.min(rows / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_parts_give_way_first() {
        assert_eq!(share(&[10, 20, 30], 100), 100);
        assert_eq!(share(&[10, 20, 300], 100), 70);
        assert_eq!(share(&[10, 200, 300], 100), 45);
        assert_eq!(share(&[], 100), 100);
    }

    #[test]
    fn what_fits_stays_whole_and_the_rest_is_drawn_with_fewer_rows() {
        let part = |rows: usize| -> Draw<'static> {
            Box::new(move |room| with_rows(room, |most| Ok("x".repeat(10 * rows.min(most) + 5))))
        };
        let parts = [part(3), part(50), part(1_000), part(100_000)];
        let drawn = fitted(&parts, 4_000).unwrap();
        let sizes: Vec<usize> = drawn.iter().map(String::len).collect();
        assert_eq!(sizes[..2], [35, 505]);
        assert!(sizes.iter().sum::<usize>() <= 4_000, "{sizes:?}");
        assert!(sizes[2] > 1_000 && sizes[3] > 1_000, "{sizes:?}");
    }
}
