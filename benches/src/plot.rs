//! Curves as SVG, written by hand: from figures to text, and nothing else. A plot is as wide as a page of documentation
//! and readable on light and on dark paper, by what the reader's system asks for.
//!
//! The vertical axis is logarithmic: what is compared here differs by factors. Each point is a median; the bar through it
//! goes from the least to the most.

use std::fmt::Write as _;

use crate::report::grouped;
use crate::round::Measured;
use crate::statistics::Summary;

/// Whose curve it is. Each has a colour of its own on light and on dark paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hue {
    /// What the plot is about.
    Subject,
    /// What it is held against.
    Limit,
    /// Somebody else who does the same.
    Peer,
}

/// How a line is drawn, where colour does not tell enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stroke {
    Solid,
    Dashed,
    Dotted,
}

/// What is drawn.
pub(crate) struct Plot {
    title: String,
    /// What the horizontal axis tells.
    across: String,
    /// The unit of the vertical axis.
    unit: String,
    /// Where the horizontal axis has its marks, in order.
    marks: Vec<(f64, String)>,
    curves: Vec<Curve>,
}

struct Curve {
    name: String,
    hue: Hue,
    stroke: Stroke,
    points: Vec<(f64, Summary)>,
}

/// The picture, and within it the field that the axes enclose. To the right of it is room for the names of the curves.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 86.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 360.0;
/// Between the first and the last point and the edges of the field.
const INSET: f64 = 18.0;
/// The height of a line of text.
const LINE: f64 = 17.0;

const STYLE: &str = "
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .paper { fill: #ffffff; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .curve { fill: none; stroke-width: 2; }
  .spread { stroke-width: 1; opacity: 0.6; }
  .dashed { stroke-dasharray: 8 4; }
  .dotted { stroke-dasharray: 2 4; }
  .subject { stroke: #0969da; fill: #0969da; }
  .limit { stroke: #59636e; fill: #59636e; }
  .peer { stroke: #bc4c00; fill: #bc4c00; }
  text.subject, text.limit, text.peer { stroke: none; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .paper { fill: #0d1117; }
    .grid { stroke: #3d444d; }
    .subject { stroke: #58a6ff; fill: #58a6ff; }
    .limit { stroke: #9198a1; fill: #9198a1; }
    .peer { stroke: #f0883e; fill: #f0883e; }
  }
";

impl Plot {
    pub(crate) fn new(title: &str, across: &str, unit: &str) -> Self {
        let [title, across, unit] = [title, across, unit].map(str::to_owned);
        Self { title, across, unit, marks: Vec::new(), curves: Vec::new() }
    }

    /// Marks a place of the horizontal axis.
    pub(crate) fn mark(&mut self, at: f64, text: &str) {
        self.marks.push((at, text.to_owned()));
    }

    /// Adds the curve of what was measured under these names at these places. What was not measured leaves a gap; of
    /// fewer than two points there is no curve.
    pub(crate) fn curve(
        &mut self,
        name: &str,
        (hue, stroke): (Hue, Stroke),
        named: impl IntoIterator<Item = (f64, String)>,
        measured: &[Measured],
    ) {
        let point = |(at, named): (f64, String)| {
            let summary = Summary::of(&measured.iter().find(|one| one.name == named)?.figures)?;
            // A logarithm is of what is above nothing.
            (summary.min > 0.0).then_some((at, summary))
        };
        let points: Vec<_> = named.into_iter().filter_map(point).collect();
        if points.len() > 1 {
            self.curves.push(Curve { name: name.to_owned(), hue, stroke, points });
        }
    }

    /// Whether there is a curve of this hue.
    pub(crate) fn has(&self, hue: Hue) -> bool {
        self.curves.iter().any(|curve| curve.hue == hue)
    }

    /// The whole file.
    pub(crate) fn svg(&self) -> String {
        let scale = Vertical::of(self.curves.iter().flat_map(|curve| &curve.points).map(|(_, summary)| summary));
        let (title, style) = (escaped(&self.title), STYLE);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" role=\"img\">\n<title>{title}</title>\n<style>{style}</style>\n\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
        );
        put(&mut text, "title", (LEFT, 26.0, "start"), &self.title);
        self.axes(&mut text, &scale);
        for curve in &self.curves {
            self.line(&mut text, curve, &scale);
        }
        self.names(&mut text, &scale);
        text.push_str("</svg>\n");
        text
    }

    fn axes(&self, text: &mut String, scale: &Vertical) {
        for value in scale.ticks() {
            let y = scale.y(value);
            // A String takes everything, here and below.
            let _ = writeln!(text, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
            put(text, "", (LEFT - 8.0, y + 4.0, "end"), &label(value));
        }
        for (at, mark) in &self.marks {
            put(text, "", (self.x(*at), BOTTOM + 20.0, "middle"), mark);
        }
        put(text, "", (f64::midpoint(LEFT, RIGHT), BOTTOM + 44.0, "middle"), &self.across);
        let middle = f64::midpoint(TOP, BOTTOM);
        let unit = escaped(&self.unit);
        let _ = writeln!(
            text,
            "<text x=\"18\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle:.1})\">{unit}</text>"
        );
    }

    fn line(&self, text: &mut String, Curve { hue, stroke, points, .. }: &Curve, scale: &Vertical) {
        let hue = hue.class();
        let mut path = String::new();
        for (at, summary) in points {
            let (x, y) = (self.x(*at), scale.y(summary.median));
            let (least, most) = (scale.y(summary.min), scale.y(summary.max));
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
            let _ = writeln!(text, "<path class=\"spread {hue}\" d=\"M{x:.1} {least:.1}V{most:.1}\"/>");
            let _ = writeln!(text, "<circle class=\"{hue}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
        // The style's `fill` of a hue is for text and points.
        let _ = writeln!(text, "<path class=\"curve {hue} {}\" style=\"fill:none\" d=\"{path}\"/>", stroke.class());
    }

    /// The name of each curve beside its last point, or as near to it as others leave room.
    fn names(&self, text: &mut String, scale: &Vertical) {
        let end = |curve: &Curve| curve.points.last().map_or(BOTTOM, |(_, summary)| scale.y(summary.median));
        let mut named: Vec<(f64, &Curve)> = self.curves.iter().map(|curve| (end(curve), curve)).collect();
        named.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let places = apart(&named.iter().map(|(y, _)| *y).collect::<Vec<_>>());
        for (y, (_, curve)) in places.into_iter().zip(named) {
            put(text, curve.hue.class(), (RIGHT + 10.0, y + 4.0, "start"), &curve.name);
        }
    }

    fn x(&self, at: f64) -> f64 {
        let (first, last) = self.marks.first().zip(self.marks.last()).map_or((0.0, 0.0), |(a, b)| (a.0, b.0));
        let (from, to) = (LEFT + INSET, RIGHT - INSET);
        if last > first { from + (at - first) / (last - first) * (to - from) } else { f64::midpoint(from, to) }
    }
}

impl Hue {
    const fn class(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Limit => "limit",
            Self::Peer => "peer",
        }
    }
}

impl Stroke {
    const fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
            Self::Dotted => "dotted",
        }
    }
}

/// The logarithmic axis: whole decades around all that is drawn.
struct Vertical {
    /// Powers of ten.
    least: i32,
    most: i32,
}

impl Vertical {
    fn of<'a>(figures: impl Iterator<Item = &'a Summary> + Clone) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a power of ten of a float is a few hundreds at most")]
        let power = |value: f64| value as i32;
        let least = figures.clone().map(|it| it.min).fold(f64::INFINITY, f64::min).log10().floor();
        let most = figures.map(|it| it.max).fold(0.0, f64::max).log10().ceil();
        // Of nothing it is any.
        let (least, most) = if least.is_finite() && most.is_finite() { (power(least), power(most)) } else { (0, 1) };
        Self { least, most: most.max(least + 1) }
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.least)) / f64::from(self.most - self.least);
        BOTTOM - share * (BOTTOM - TOP)
    }

    /// One, two and five of each decade; of many decades only one.
    fn ticks(&self) -> Vec<f64> {
        let within: &[f64] = if self.most - self.least > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let top = 10_f64.powi(self.most);
        let all = (self.least..=self.most).flat_map(|power| within.iter().map(move |one| one * 10_f64.powi(power)));
        all.filter(|value| *value <= top).collect()
    }
}

/// Heights that are sorted, moved so that each is a line below the one before, and none below the field.
fn apart(sorted: &[f64]) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(sorted.len());
    for y in sorted {
        let least = places.last().map_or(TOP, |above| above + LINE);
        places.push(y.max(least));
    }
    let mut most = BOTTOM;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - LINE;
    }
    places
}

fn put(text: &mut String, class: &str, (x, y, anchor): (f64, f64, &str), what: &str) {
    let what = escaped(what);
    let _ = writeln!(text, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{what}</text>");
}

fn label(value: f64) -> String {
    if value < 1.0 { format!("{value}") } else { grouped(value) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::round::Unit;

    fn measured(name: &str, figures: &[f64]) -> Measured {
        Measured { name: name.to_owned(), unit: Unit::Rate, events: 1, figures: figures.to_vec() }
    }

    fn plot(curves: &[(&str, &[&str])], measured: &[Measured]) -> Plot {
        let mut plot = Plot::new("a < b & c", "publishers", "events/s");
        [(0.0, "1"), (1.0, "16")].iter().for_each(|(at, text)| plot.mark(*at, text));
        for (name, points) in curves {
            let points = [0.0, 1.0].into_iter().zip(points.iter().map(|point| (*point).to_owned()));
            plot.curve(name, (Hue::Subject, Stroke::Dashed), points, measured);
        }
        plot
    }

    #[test]
    fn a_curve_goes_through_the_medians_and_each_has_its_spread() {
        let measured = [measured("one", &[100.0, 200.0, 50.0]), measured("many", &[1000.0])];
        let svg = plot(&[("ours", &["one", "many"])], &measured).svg();
        // From the middle of the scale of 10 to 1,000 to its top.
        let (from, to) = (LEFT + INSET, RIGHT - INSET);
        let middle = f64::midpoint(TOP, BOTTOM);
        assert!(svg.contains(&format!("d=\"M{from:.1} {middle:.1}L{to:.1} {TOP:.1}\"")), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        let scale = Vertical { least: 1, most: 3 };
        let spread = format!("d=\"M{from:.1} {:.1}V{:.1}\"", scale.y(50.0), scale.y(200.0));
        assert!(svg.contains(&spread), "{svg}");
    }

    #[test]
    fn axes_have_their_names_units_and_marks_and_both_kinds_of_paper() {
        let measured = [measured("one", &[100.0]), measured("many", &[1000.0])];
        let svg = plot(&[("ours", &["one", "many"])], &measured).svg();
        for part in
            [">publishers</text>", ">events/s</text>", ">16</text>", ">1,000</text>", ">200</text>", ">ours</text>"]
        {
            assert!(svg.contains(part), "{part} is missing: {svg}");
        }
        assert!(svg.contains("<title>a &lt; b &amp; c</title>"), "{svg}");
        assert!(svg.contains("prefers-color-scheme: dark"), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        let measured = [measured("one", &[100.0]), measured("many", &[1000.0])];
        let drawn = plot(&[("ours", &["one", "many"]), ("theirs", &["one", "no such"])], &measured);
        assert_eq!(drawn.curves.len(), 1);
        assert!(drawn.has(Hue::Subject) && !drawn.has(Hue::Peer));
        // No curve at all is no reason to fail.
        assert!(!plot(&[], &measured).svg().contains("NaN"));
    }

    #[test]
    fn names_do_not_cover_one_another() {
        let places = apart(&[100.0, 101.0, 355.0, 358.0]);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LINE), "{places:?}");
        assert!(places.iter().all(|y| (TOP..=BOTTOM).contains(y)), "{places:?}");
    }

    #[test]
    fn the_axis_has_whole_decades() {
        let check = |samples: &[f64], least, most| {
            let summaries: Vec<_> = samples.iter().filter_map(|one| Summary::of(&[*one])).collect();
            let scale = Vertical::of(summaries.iter());
            assert_eq!((scale.least, scale.most), (least, most), "{samples:?}");
        };
        check(&[20.0, 900.0], 1, 3);
        check(&[10.0], 1, 2);
        check(&[], 0, 1);
        assert_eq!(Vertical { least: 1, most: 2 }.ticks(), [10.0, 20.0, 50.0, 100.0]);
        assert_eq!(Vertical { least: 0, most: 4 }.ticks(), [1.0, 10.0, 100.0, 1000.0, 10000.0]);
    }
}
