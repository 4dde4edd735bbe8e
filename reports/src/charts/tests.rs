//! What stands where in drawings of each kind.

use driftgauge_plugin_protocol::wire::{Axis, ChartKind, ChartSpec, Point, Series};

use super::{Drawing, WIDE, draw};
use crate::model::Figure;

fn drawn(kind: ChartKind, series: Vec<Series>) -> Drawing {
    let figure = Figure {
        id: "c".to_owned(),
        description: String::new(),
        styles: (0..series.len()).collect(),
        chart: ChartSpec {
            id: "c".to_owned(),
            title: "C".to_owned(),
            kind,
            x: Axis::new("x"),
            y: Axis::new("y"),
            series,
        },
    };
    draw(&figure, WIDE).unwrap()
}

/// The numbers of an attribute in every element of a name and class.
fn numbers(drawing: &Drawing, element: &str, class: &str, attribute: &str) -> Vec<f64> {
    let start = format!("<{element} class=\"{class}\"");
    let key = format!(" {attribute}=\"");
    let elements = drawing.body.lines().filter(|line| line.starts_with(&start));
    elements
        .filter_map(|line| line.split_once(&key)?.1.split('"').next()?.parse().ok())
        .collect()
}

#[test]
fn a_stack_stands_end_to_end() {
    let series = |name: &str, heights: [f64; 2]| {
        let [a, b] = heights;
        Series::new(name, vec![Point::category("a", a), Point::category("b", b)])
    };
    let drawing = drawn(
        ChartKind::StackedBar,
        vec![series("low", [10.0, 20.0]), series("high", [30.0, 20.0])],
    );
    let bars = |style: &str| {
        let x = numbers(&drawing, "rect", style, "x");
        let width = numbers(&drawing, "rect", style, "width");
        x.into_iter().zip(width).collect::<Vec<_>>()
    };
    let (low, high) = (bars("fill s1"), bars("fill s2"));
    assert_eq!((low.len(), high.len()), (2, 2), "{}", drawing.body);
    for (below, above) in low.iter().zip(&high) {
        assert!(
            (below.0 + below.1 + 1.0 - above.0).abs() < 0.3,
            "{below:?} {above:?}"
        );
    }
    // 10 and 30 of 40; 20 and 20.
    assert!(
        (high[0].1 / low[0].1 - 3.0).abs() < 0.05,
        "{low:?} {high:?}"
    );
    assert!(
        (high[1].1 / low[1].1 - 1.0).abs() < 0.02,
        "{low:?} {high:?}"
    );
}

#[test]
fn a_box_lies_around_its_median() {
    let point = Point::quartiles("a", [0.0, 20.0, 30.0, 60.0, 100.0]);
    let drawing = drawn(ChartKind::Box, vec![Series::new("m", vec![point])]);
    let start = numbers(&drawing, "rect", "fill s1", "x")[0];
    let width = numbers(&drawing, "rect", "fill s1", "width")[0];
    let start_of = "<polyline class=\"line text\" stroke-width=\"2\" points=\"";
    let median = drawing
        .body
        .lines()
        .find_map(|line| line.strip_prefix(start_of));
    let x: f64 = median.unwrap().split(',').next().unwrap().parse().unwrap();
    // 20, 30, 60: a quarter of the box.
    assert!(
        ((x - start) / width - 0.25).abs() < 0.02,
        "{start} {width} {x}"
    );
}

#[test]
fn small_plots_share_their_axes() {
    let series = |name: &str, top: f64| {
        Series::new(
            name,
            vec![
                Point::at(0.0, 0.0),
                Point::at(1.0, top),
                Point::at(2.0, top),
            ],
        )
    };
    let drawing = drawn(
        ChartKind::SmallMultiples,
        vec![
            series("one", 10.0),
            series("two", 5.0),
            series("three", 10.0),
        ],
    );
    for name in ["one", "two", "three"] {
        assert!(drawing.body.contains(&format!(">{name}</text>")), "{name}");
    }
    let rise = |style: &str| {
        let line = drawing
            .body
            .lines()
            .find(|line| line.starts_with(&format!("<polyline class=\"line {style}\"")))
            .unwrap_or_else(|| panic!("no line of {style} in {}", drawing.body));
        let points = line.split_once("points=\"").unwrap().1;
        let heights: Vec<f64> = points
            .split('"')
            .next()
            .unwrap()
            .split(' ')
            .map(|point| point.split_once(',').unwrap().1.parse().unwrap())
            .collect();
        heights[0] - heights[1]
    };
    assert!((rise("s1") / rise("s2") - 2.0).abs() < 0.02);
    assert!((rise("s1") - rise("s3")).abs() < 0.2);
    assert!(drawing.width == WIDE && drawing.height < 400);
}

#[test]
fn scattered_points_are_not_joined() {
    let points = (0..5).map(|i| Point::at(f64::from(i), f64::from(i * i)));
    let drawing = drawn(ChartKind::Scatter, vec![Series::new("m", points.collect())]);
    assert_eq!(
        numbers(&drawing, "circle", "fill s1", "cx").len(),
        5,
        "{}",
        drawing.body
    );
    assert!(!drawing.body.contains("<polyline class=\"line s1\""));
}
