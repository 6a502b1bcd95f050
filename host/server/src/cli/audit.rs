//! `hostel audit`: who changed what.

use hostel_api::client::{Client, Owner};
use hostel_api::token::AuditView;

use super::failure::Failure;
use super::{output, table};

/// The flags of `audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Of the whole host and not of one tenant
    #[arg(long)]
    all: bool,
    /// How many lines, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows the newest lines, oldest first.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let owner = if arguments.all { Owner::Host } else { Owner::Tenant };
    let mut lines = client.audit(owner, arguments.limit, None).await?.items;
    lines.reverse();
    if arguments.json {
        return output::json(&lines);
    }
    if lines.is_empty() {
        output::talk("nothing was changed yet");
        return Ok(());
    }
    output::data(&render(&lines))
}

fn render(lines: &[AuditView]) -> String {
    let row = |line: &AuditView| {
        let by = match &line.name {
            Some(name) => format!("{} ({name})", line.by),
            None => line.by.clone(),
        };
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let outcome = match (&line.code, line.status) {
            (Some(code), _) => code.clone(),
            (None, 200..=299) => "done".to_owned(),
            (None, status) => status.to_string(),
        };
        let detail = line.detail.clone().unwrap_or_default();
        [line.at.clone(), by, line.action.clone(), dash(&line.tenant), dash(&line.target), outcome, detail]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    table::render(["AT", "BY", "ACTION", "TENANT", "TARGET", "OUTCOME", "DETAIL"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_what_on_what_and_how_it_ended() {
        let line = AuditView {
            id: 1,
            at: "2026-01-01T00:00:00.000Z".to_owned(),
            by: "token 0011".to_owned(),
            name: Some("ci".to_owned()),
            from: "127.0.0.1".to_owned(),
            action: "deploy".to_owned(),
            tenant: Some("acme".to_owned()),
            target: Some("hello".to_owned()),
            detail: None,
            status: 422,
            code: Some("E0012".to_owned()),
        };
        assert_eq!(
            render(&[line]),
            "AT                        BY               ACTION  TENANT  TARGET  OUTCOME  DETAIL\n\
             2026-01-01T00:00:00.000Z  token 0011 (ci)  deploy  acme    hello   E0012\n"
        );
    }
}
