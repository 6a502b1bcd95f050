//! As much of Gherkin as the conformance features are written in: backgrounds, scenarios, outlines with examples, text
//! blocks and tables. Anything else fails the test that reads it.

/// A scenario with its background's steps before its own. An outline is one for each of its examples.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// A step.
#[derive(Clone, Default)]
pub(crate) struct Step {
    /// Without its keyword.
    pub(crate) text: String,
    /// The lines between `"""`, without the indentation of the first of these.
    pub(crate) text_block: Option<String>,
    /// The cells of each row, the head first.
    pub(crate) table: Vec<Vec<String>>,
}

#[derive(PartialEq)]
enum Part {
    Feature,
    Background,
    Scenario,
    Examples,
}

/// The rows of an outline's examples, the first of which has their names.
type Table = Vec<Vec<String>>;

/// The scenarios of a feature.
pub(crate) fn scenarios(feature: &str) -> Vec<Scenario> {
    let (mut part, mut background) = (Part::Feature, Vec::<Step>::new());
    let mut all = Vec::<(Scenario, Table)>::new();
    let mut lines = feature.lines();
    while let Some(line) = lines.next() {
        let text = line.trim();
        if text == "Background:" {
            part = Part::Background;
        } else if let Some(name) = text.strip_prefix("Scenario Outline: ").or(text.strip_prefix("Scenario: ")) {
            part = Part::Scenario;
            all.push((Scenario { name: name.to_owned(), steps: background.clone() }, Vec::new()));
        } else if text == "Examples:" {
            part = Part::Examples;
        } else if let Some(text) = ["Given ", "When ", "Then ", "And "].iter().find_map(|word| text.strip_prefix(word))
        {
            steps(&part, &mut background, &mut all).push(Step { text: text.to_owned(), ..Step::default() });
        } else if text == "\"\"\"" {
            let indentation = line.len() - line.trim_start().len();
            let block: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim() != "\"\"\"")
                .map(|line| line.get(indentation..).unwrap_or_default())
                .collect();
            let last = steps(&part, &mut background, &mut all).last_mut().expect("a block belongs to a step");
            last.text_block = Some(block.join("\n"));
        } else if let Some(row) = text.strip_prefix('|') {
            let row = row.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            if part == Part::Examples {
                all.last_mut().expect("examples belong to a scenario").1.push(row);
            } else {
                steps(&part, &mut background, &mut all).last_mut().expect("a table belongs to a step").table.push(row);
            }
        } else {
            assert!(text.is_empty() || part == Part::Feature, "not understood: {text}");
        }
    }
    all.into_iter().flat_map(|(scenario, examples)| with_examples(scenario, &examples)).collect()
}

fn steps<'a>(
    part: &Part,
    background: &'a mut Vec<Step>,
    all: &'a mut [(Scenario, Vec<Vec<String>>)],
) -> &'a mut Vec<Step> {
    match part {
        Part::Background => background,
        _ => &mut all.last_mut().expect("a step belongs to a scenario").0.steps,
    }
}

/// The scenario once for each row, with `<head>` replaced by the row's cell; as it is if there are no rows.
fn with_examples(scenario: Scenario, examples: &[Vec<String>]) -> Vec<Scenario> {
    let Some((heads, rows)) = examples.split_first() else { return vec![scenario] };
    let filled = |row: &Vec<String>| {
        let fill = |text: &str| {
            heads.iter().zip(row).fold(text.to_owned(), |text, (head, cell)| text.replace(&format!("<{head}>"), cell))
        };
        let steps = scenario.steps.iter().map(|step| Step {
            text: fill(&step.text),
            text_block: step.text_block.as_deref().map(fill),
            table: step.table.iter().map(|row| row.iter().map(|cell| fill(cell)).collect()).collect(),
        });
        Scenario { name: fill(&scenario.name), steps: steps.collect() }
    };
    rows.iter().map(filled).collect()
}
