//! The results as a picture: for each case and peer, how much came within 50 ms and how much came at all.

use super::contestant::Peer;
use super::figures::{Figures, class_name};

/// An SVG with a bar for each row: dark for what came within 50 ms, light for what came later.
pub fn draw(figures: &[Figures]) -> String {
    let mut body = String::new();
    let mut y = TOP;
    let mut group = String::new();
    for figures in figures
        .iter()
        .filter(|figures| figures.row.peer != Peer::RawUdp)
    {
        let title = format!(
            "{}; {} {}/s; {} x {}",
            figures.case,
            class_name(figures.row.class),
            figures.row.rate_hz,
            figures.links,
            figures.relays
        );
        if title != group {
            y += GAP;
            body += &text(LEFT, y, "start", "title", &title);
            y += LINE;
            group = title;
        }
        let class = if figures.row.peer == Peer::Longrein {
            "ours"
        } else {
            "other"
        };
        body += &text(LABEL, y + 11.0, "end", "label", figures.row.peer.name());
        for (share, shade) in [
            (figures.delivered_pct, "late"),
            (figures.within_50ms_pct, "soon"),
        ] {
            let width = WIDTH * share / 100.0;
            body += &format!(
                "<rect class=\"{class} {shade}\" x=\"{LABEL_END}\" y=\"{y}\" width=\"{width:.1}\" height=\"14\"/>\n"
            );
        }
        let told = format!(
            "{:.1} / {:.1} %",
            figures.within_50ms_pct, figures.delivered_pct
        );
        body += &text(LABEL_END + WIDTH + 8.0, y + 11.0, "start", "label", &told);
        y += LINE;
    }
    let height = y + GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WHOLE} {height}\" role=\"img\">\n\
         <title>Messages that came within 50 ms, and messages that came at all</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WHOLE}\" height=\"{height}\"/>\n{}{body}</svg>\n",
        text(
            LEFT,
            22.0,
            "start",
            "head",
            "Within 50 ms (dark) and delivered at all (light), % of what was sent"
        )
    )
}

fn text(x: f64, y: f64, anchor: &str, class: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>\n")
}

const WHOLE: f64 = 760.0;
const WIDTH: f64 = 440.0;
const LEFT: f64 = 16.0;
const LABEL: f64 = 170.0;
const LABEL_END: f64 = 178.0;
const TOP: f64 = 30.0;
const LINE: f64 = 18.0;
const GAP: f64 = 16.0;
const STYLE: &str = "text{font:12px sans-serif;fill:#222}.head{font-size:14px;font-weight:bold}.title{font-weight:bold}\
    .paper{fill:#fff}.ours.soon{fill:#14532d}.ours.late{fill:#86c79b}.other.soon{fill:#555}.other.late{fill:#bbb}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_escaped_and_an_empty_picture_is_one() {
        assert!(text(0.0, 0.0, "end", "label", "a < b & c").contains("a &lt; b &amp; c"));
        assert!(draw(&[]).starts_with("<svg"));
    }
}
