//! Pieces of a page as HTML. All text passes [`escape`].

use serde_json::Value;

use super::Block;
use crate::figure::Figure;
use crate::report::layout::{Grid, Look};

/// Text that means itself, in elements and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A sentence, with what stands between `backticks` as code.
fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escape(text); // one is left over
    }
    let part = |(index, part): (usize, &&str)| match index % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.iter().enumerate().map(part).collect()
}

/// JSON that cannot end the element that it stands in.
pub fn json_in_script(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c")
}

/// There is something to see.
pub fn shows(block: &Block) -> bool {
    match block {
        Block::Figure(figure) => figure.has_data(),
        Block::Diagrams(diagrams) => !diagrams.is_empty(),
        Block::Table(grid) => !grid.is_empty(),
        Block::Words(_, rows) | Block::Filtered(_, rows, _) => !rows.is_empty(),
        Block::Text(text) | Block::Warning(text) | Block::Code(text) => !text.is_empty(),
    }
}

/// A block; `drawn` counts the diagrams before it.
pub fn block(block: &Block, drawn: &mut usize, out: &mut String) {
    if !shows(block) {
        return;
    }
    match block {
        Block::Figure(it) => figure(it, out),
        Block::Diagrams(diagrams) => {
            legend(out);
            out.push_str("<div class=\"designs\">\n");
            for diagram in diagrams {
                let name = escape(diagram["design"].as_str().unwrap_or(""));
                out.push_str(&format!(
                    "<figure><figcaption>{name}</figcaption><div class=\"diagram\" tabindex=\"0\" \
                     data-diagram=\"{drawn}\"></div></figure>\n"
                ));
                *drawn += 1;
            }
            out.push_str("</div>\n");
        }
        Block::Table(grid) => table(grid, out),
        Block::Words(columns, rows) => words(columns, rows, None, out),
        Block::Filtered(columns, rows, by) => words(columns, rows, Some(*by), out),
        Block::Text(text) => out.push_str(&format!("<p>{}</p>\n", prose(text))),
        Block::Warning(text) => {
            out.push_str(&format!("<p class=\"warning\">{}</p>\n", prose(text)));
        }
        Block::Code(text) => out.push_str(&format!("<pre><code>{}</code></pre>\n", escape(text))),
    }
}

fn legend(out: &mut String) {
    let steps = ["below 25 %", "25 to 50 %", "50 to 75 %", "75 to 95 %", "95 % and more"];
    out.push_str("<div class=\"legend\">busy:");
    for (heat, words) in steps.iter().enumerate() {
        out.push_str(&format!("<span style=\"--swatch:var(--heat-{heat})\">{words}</span>"));
    }
    out.push_str("<b>thick frame: at its limit</b></div>\n");
}

fn figure(figure: &Figure, out: &mut String) {
    let (name, title) = (escape(&figure.name), escape(&figure.title));
    out.push_str(&format!(
        "<figure data-name=\"{name}\">\n<h3>{title}</h3>\n<figcaption>{}</figcaption>\n\
         <div class=\"plot\" data-figure=\"{name}\"></div>\n<div class=\"tools\">\
         <button type=\"button\" data-save=\"csv\" aria-label=\"Data of {title} as CSV\">Data (CSV)</button>\
         <button type=\"button\" data-save=\"vl\" aria-label=\"{title} as Vega-Lite\">Figure (.vl.json)</button>\
         </div>\n<details data-rows=\"{name}\"><summary>The numbers</summary></details>\n</figure>\n",
        escape(&figure.caption)
    ));
}

fn table(grid: &Grid, out: &mut String) {
    out.push_str("<div class=\"scroll\" tabindex=\"0\"><table>\n");
    let mut rows = grid.rows().iter();
    if let Some(head) = rows.next() {
        out.push_str("<thead><tr>");
        for cell in head {
            let class = if cell.look() == Look::Bold { " class=\"bold\"" } else { "" };
            out.push_str(&format!("<th scope=\"col\"{class}>{}</th>", escape(cell.text())));
        }
        out.push_str("</tr></thead>\n");
    }
    out.push_str("<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let text = cell.text();
            // The terminal indents rows, and rows below rows further.
            let inner = column == 0 && text.starts_with("    ");
            let left = column < grid.left_columns();
            let classes = [
                class_of(cell.look()),
                if inner { "inner" } else { "" },
                if left { "left" } else { "" },
            ];
            let classes: Vec<&str> =
                classes.into_iter().filter(|class| !class.is_empty()).collect();
            out.push_str(&format!(
                "<td class=\"{}\">{}</td>",
                classes.join(" "),
                escape(text.trim())
            ));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn class_of(look: Look) -> &'static str {
    match look {
        Look::Usual => "",
        Look::Bold => "bold",
        Look::Dim => "dim",
        Look::Good => "good",
        Look::Bad => "bad",
        Look::Doubtful => "doubtful",
    }
}

fn words(columns: &[&str], rows: &[Vec<String>], filter: Option<usize>, out: &mut String) {
    // The script puts buttons there; without it every row is shown.
    let filter = filter.map_or(String::new(), |column| format!(" data-filter=\"{column}\""));
    out.push_str(&format!("<div class=\"scroll\" tabindex=\"0\"><table{filter}><thead><tr>"));
    for column in columns {
        out.push_str(&format!("<th scope=\"col\" class=\"left\">{}</th>", escape(column)));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            let class = if cell.chars().count() > 24 { "words" } else { "left" };
            out.push_str(&format!("<td class=\"{class}\">{}</td>", escape(cell)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_of_a_file_becomes_markup() {
        assert_eq!(escape("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
        assert_eq!(prose("`a <b>` & `"), "`a &lt;b&gt;` &amp; `");
        assert_eq!(prose("type `a <b>`."), "type <code>a &lt;b&gt;</code>.");
        let data = json!({ "title": "</script><script>alert(1)</script>" });
        let text = json_in_script(&data);
        assert!(!text.contains('<'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), data);
    }
}
