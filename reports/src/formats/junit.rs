//! JUnit's XML: each gate and each published value is a test case, so that CI shows what failed.

use crate::Report;
use crate::charts::escape;
use crate::numbers;

pub(super) fn of(report: &Report) -> String {
    let mut cases = String::new();
    let (mut tests, mut failures, mut skipped) = (0, 0, 0);
    for gate in &report.gates {
        tests += 1;
        let inner = if gate.passed {
            String::new()
        } else {
            failures += 1;
            let bound = gate
                .bound
                .map_or_else(|| "undefined".to_owned(), |bound| bound.to_string());
            let message = format!("the bound is {bound}, the limit {}", gate.limit);
            format!("<failure message=\"{}\"/>", escape(&message))
        };
        case(&mut cases, "gates", &gate.rule, &inner);
    }
    for row in &report.expected {
        tests += 1;
        let show = |value: f64| numbers::published(value, &row.unit, row.difference_of_sides);
        let inner = if row.contradicted {
            failures += 1;
            let message = format!(
                "published {}, measured {}: {}",
                show(row.published),
                row.measured.map_or_else(|| "nothing".to_owned(), show),
                row.verdict
            );
            format!("<failure message=\"{}\"/>", escape(&message))
        } else if row.measured.is_none() {
            skipped += 1;
            "<skipped message=\"not measured\"/>".to_owned()
        } else {
            String::new()
        };
        // Two sources may have printed one number: a case of the same name would hide the other.
        let source = match row.source.as_str() {
            "" => String::new(),
            source => format!(" ({source})"),
        };
        let name = format!("{} of {} in {}{source}", row.measure, row.model, row.place);
        case(&mut cases, "published values", &name, &inner);
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"0\" skipped=\"{skipped}\">\n{cases}</testsuite>\n</testsuites>\n",
        escape(&report.name)
    )
}

fn case(out: &mut String, class: &str, name: &str, inner: &str) {
    out.push_str(&format!(
        "<testcase classname=\"{class}\" name=\"{}\">{inner}</testcase>\n",
        escape(name)
    ));
}
