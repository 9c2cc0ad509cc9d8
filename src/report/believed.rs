//! Theory beside simulation, for whoever wants to know whether to believe any of this.

use super::layout::{Cell, Grid, Look, Style};
use super::show;
use crate::validation::{FALSE_ALARM, Finding};

/// The findings as text of at most 100 columns, by case.
pub fn believed(findings: &[Finding], style: Style) -> String {
    let columns = ["closed form", "theory", "simulated", "t", "bound", ""];
    let mut grid = Grid::new("Figure", &columns).left(2);
    for finding in findings {
        grid.row(cells(finding));
    }
    let table = grid.render(style);
    let mut lines = table.lines();
    let mut out = String::new();
    out.push_str(lines.next().unwrap_or_default());
    out.push('\n');
    let mut before = "";
    for (finding, line) in findings.iter().zip(lines) {
        if finding.case.model != before {
            before = finding.case.model;
            out.push_str(&format!("\n{}\n", style.paint(before, Look::Bold)));
            out.push_str(&style.paint(&command(finding), Look::Dim));
            out.push('\n');
        }
        out.push_str(line);
        out.push('\n');
    }
    out + &foot(findings, style)
}

/// What to type to see more of a case.
fn command(finding: &Finding) -> String {
    let sets = finding.case.sets.iter().map(|set| format!(" \\\n    --set '{set}'"));
    format!("loadbearing run {}{}", finding.case.path, sets.collect::<String>())
}

fn cells(finding: &Finding) -> Vec<Cell> {
    let row = finding.row;
    let (word, look) = match finding.agrees() {
        true => ("agrees", Look::Good),
        false => ("DISAGREES", Look::Bad),
    };
    vec![
        Cell::from(row.figure),
        Cell::from(row.formula),
        Cell::from(show::value(finding.theory, row.unit)),
        Cell::from(show::estimate(&finding.estimate, row.unit)),
        Cell::from(format!("{:+.2}", finding.t)),
        Cell::from(format!("{:.1}", finding.bound)),
        Cell::new(word, look),
    ]
}

fn foot(findings: &[Finding], style: Style) -> String {
    let agree = findings.iter().filter(|finding| finding.agrees()).count();
    let look = if agree == findings.len() { Look::Good } else { Look::Bad };
    let verdict = format!("{agree} of {} figures agree.", findings.len());
    format!(
        "\n{}\n\
         t is the distance from the theory in standard errors of the replications' mean; a right\n\
         simulator leaves the bound in {:.0} of 100,000 rows. Intervals are at 95 %.\n",
        style.paint(&verdict, look),
        FALSE_ALARM * 1e5,
    )
}

#[cfg(test)]
mod tests {
    use super::super::layout::WIDTH;
    use super::*;
    use crate::result::Estimate;
    use crate::validation::{CASES, bound, deviation};

    fn found(observations: &[f64]) -> Vec<Finding> {
        let all = CASES.iter().flat_map(|case| case.rows.iter().map(move |row| (case, row)));
        let finding = |(case, row)| Finding {
            case,
            row,
            observations: observations.to_vec(),
            estimate: Estimate::exact(2.0),
            theory: 2.0,
            t: deviation(observations, 2.0),
            bound: bound(observations.len()),
        };
        all.map(finding).collect()
    }

    #[test]
    fn a_row_that_disagrees_is_seen() {
        let near = found(&[1.9, 2.0, 2.05, 2.1, 1.95, 1.98]);
        assert!(near.iter().all(Finding::agrees));
        let text = believed(&near, Style::Plain);
        assert!(text.contains(&format!("{0} of {0} figures agree.", near.len())));
        assert!(!text.contains("DISAGREES"));
        let far = found(&[2.9, 3.0, 3.05, 3.1, 2.95, 2.98]);
        let text = believed(&far, Style::Plain);
        assert!(text.contains("DISAGREES") && text.contains("\n0 of "));
    }

    #[test]
    fn every_case_is_there_once_and_no_line_is_too_long() {
        let text = believed(&found(&[1.9, 2.0, 2.1]), Style::Plain);
        for case in CASES {
            assert_eq!(text.lines().filter(|line| *line == case.model).count(), 1);
        }
        let long: Vec<&str> = text.lines().filter(|it| it.chars().count() > WIDTH).collect();
        assert_eq!(long, [""; 0]);
    }
}
