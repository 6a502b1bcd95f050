//! Answers that take a while and say on the way how far they are, to those who ask for that: a stream with an event
//! `stage` as each stage begins, and a last one, `done` or `problem`, with the very body of the ordinary answer.

use std::future::Future;
use std::pin::Pin;

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::ACCEPT;
use http::{HeaderMap, Response};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use hostel_api::change::StageBegunView;

use super::Answer;
use crate::access::audit::Awaited;
use crate::answer::Failure;
use crate::deploy::Stages;
use crate::follow::{EVENT_STREAM, Message, Source, stream};

type Work = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Does the work, and answers when it is done, or follows it if that is asked for. If who asks leaves, it is cancelled
/// either way.
pub(super) async fn answer<W, F>(headers: &HeaderMap, work: W) -> Answer
where
    W: FnOnce(Stages) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    if !is_followed(headers) {
        return work(Stages::silent()).await;
    }
    let (stages, told) = Stages::telling();
    let work = work(stages);
    let work: Work = Box::pin(async move { work.await.unwrap_or_else(Failure::into_response) });
    let awaited = Awaited::default();
    let followed = Followed { told, work: Some(work), last: None, awaited: awaited.clone() };
    // The host's end waits for it as for every request that was begun.
    let mut response = stream(Vec::new(), followed, CancellationToken::new());
    response.extensions_mut().insert(awaited);
    Ok(response)
}

/// Whether a stream is asked for by its name; who takes anything gets the ordinary answer.
fn is_followed(headers: &HeaderMap) -> bool {
    let media = |text: &str| text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(EVENT_STREAM);
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')).any(media)
}

/// Work that is followed.
struct Followed {
    told: mpsc::Receiver<StageBegunView>,
    /// `None`: it is done.
    work: Option<Work>,
    /// What came of it, until it is said.
    last: Option<Message>,
    awaited: Awaited,
}

impl Source for Followed {
    async fn next(&mut self) -> Option<Message> {
        while let Some(work) = &mut self.work {
            tokio::select! {
                biased;
                Some(stage) = self.told.recv() => return Message::json("stage", None, &stage),
                response = work => {
                    self.last = Some(last(response, &self.awaited).await);
                    self.work = None;
                }
            }
        }
        // Stages that began since they were last looked for come before the end.
        match self.told.try_recv() {
            Ok(stage) => Message::json("stage", None, &stage),
            Err(_) => self.last.take(),
        }
    }
}

/// The last message, and for the audit log what came of it.
async fn last(response: Response<Body>, awaited: &Awaited) -> Message {
    let (head, body) = response.into_parts();
    let kind = if head.status.is_success() { "done" } else { "problem" };
    // It is in memory already, and its length no matter of who asks.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    awaited.set(Response::from_parts(head, ()));
    Message::written(kind, &String::from_utf8_lossy(&body))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use hostel_api::problem::Code;

    use super::*;
    use crate::answer::json;

    fn accepting(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, http::HeaderValue::from_static(text))])
    }

    async fn body(answer: Answer) -> String {
        let body = answer.unwrap().into_body();
        String::from_utf8(axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_stream_is_asked_for_by_its_name() {
        for text in ["text/event-stream", "application/json, text/event-stream;q=0.9", "TEXT/EVENT-STREAM"] {
            assert!(is_followed(&accepting(text)), "{text}");
        }
        for text in ["*/*", "text/*", "application/json"] {
            assert!(!is_followed(&accepting(text)), "{text}");
        }
        assert!(!is_followed(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn what_came_of_it_is_the_last_event_with_the_body_of_the_ordinary_answer() {
        let work = |_: Stages| async { Ok(json(StatusCode::OK, &"it runs")) };
        assert_eq!(body(answer(&HeaderMap::new(), work).await).await, "\"it runs\"");
        let followed = body(answer(&accepting(EVENT_STREAM), work).await).await;
        assert_eq!(followed, ": following\n\nevent: done\ndata: \"it runs\"\n\n");
    }

    #[tokio::test]
    async fn a_refusal_is_told_and_written_down_with_its_status() {
        let work = |_: Stages| async { Err(Failure::new(Code::InitFailed, "it would not")) };
        let response = answer(&accepting(EVENT_STREAM), work).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let awaited = response.extensions().get::<Awaited>().cloned().unwrap();
        assert!(awaited.get().is_none());
        let text = body(Ok(response)).await;
        assert!(
            text.starts_with(": following\n\nevent: problem\ndata: {\"type\":\"urn:hostel:error:E0008\""),
            "{text}"
        );
        assert_eq!(awaited.get().unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}
