//! `hostel peers`: who gets events from the host over the network, and how that goes.

use hostel_api::client::Client;
use hostel_api::peer::{PeerView, PeersView};

use super::failure::Failure;
use super::{output, table, text};

/// The flags of `peers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists the peers.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<(), Failure> {
    let peers = client.peers().await?;
    if arguments.json {
        return output::json(&peers);
    }
    for note in notes(&peers) {
        output::talk(&note);
    }
    if peers.items.is_empty() {
        output::talk("no peers; `hostel services` shows who is there");
        return Ok(());
    }
    output::data(&render(&peers.items))
}

/// What the table does not show and somebody should know.
fn notes(peers: &PeersView) -> Vec<String> {
    let mut notes: Vec<String> = peers
        .orphans
        .iter()
        .map(|orphan| {
            let waiting = text::counted(orphan.waiting, "event");
            format!("`{}` has no node left; {waiting} wait for one", text::line(&orphan.subscription))
        })
        .collect();
    if peers.beyond > 0 {
        notes.push(format!("{} more were announced than `peers.nodes` allows", text::counted(peers.beyond, "node")));
    }
    if peers.malformed > 0 {
        notes.push(format!("{} could not be used", text::counted(peers.malformed, "announcement")));
    }
    notes
}

fn render(peers: &[PeerView]) -> String {
    let rows: Vec<_> = peers
        .iter()
        .map(|peer| {
            let state = match (peer.reachable, peer.circuit.as_str()) {
                (true, "closed") => "reachable".to_owned(),
                (_, "closed") => "not answering".to_owned(),
                (_, circuit) => format!("left alone ({circuit})"),
            };
            [
                peer.node.clone(),
                peer.addresses.first().cloned().unwrap_or_default(),
                peer.queue.clone().unwrap_or_else(|| "-".to_owned()),
                state,
                peer.waiting.to_string(),
                peer.delivered.to_string(),
                peer.failed.to_string(),
                peer.last_error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table::render(["NODE", "ADDRESS", "QUEUE", "STATE", "WAITING", "DELIVERED", "FAILED", "LAST ERROR"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostel_api::peer::OrphanView;

    fn peer(reachable: bool, circuit: &str) -> PeerView {
        PeerView {
            node: "jobs-1".to_owned(),
            addresses: vec!["127.0.0.1:9000".to_owned()],
            secure: false,
            topic: "jobs".to_owned(),
            queue: Some("q".to_owned()),
            subscription: "default/@queue.q:jobs".to_owned(),
            reachable,
            circuit: circuit.to_owned(),
            waiting: 3,
            delivered: 40,
            failed: 2,
            last_error: (!reachable).then(|| "connection refused".to_owned()),
        }
    }

    #[test]
    fn a_table_says_how_each_peer_is_doing() {
        let shown = render(&[peer(true, "closed"), peer(false, "closed"), peer(false, "open")]);
        assert_eq!(
            shown,
            "NODE    ADDRESS         QUEUE  STATE              WAITING  DELIVERED  FAILED  LAST ERROR\n\
             jobs-1  127.0.0.1:9000  q      reachable                3         40       2\n\
             jobs-1  127.0.0.1:9000  q      not answering            3         40       2  connection refused\n\
             jobs-1  127.0.0.1:9000  q      left alone (open)        3         40       2  connection refused\n"
        );
    }

    #[test]
    fn what_is_not_in_the_table_is_said() {
        let orphans = vec![OrphanView { subscription: "default/@queue.q:jobs".to_owned(), waiting: 1 }];
        let peers = PeersView { items: Vec::new(), orphans, beyond: 2, malformed: 1 };
        assert_eq!(
            notes(&peers),
            [
                "`default/@queue.q:jobs` has no node left; 1 event wait for one",
                "2 nodes more were announced than `peers.nodes` allows",
                "1 announcement could not be used"
            ]
        );
    }
}
