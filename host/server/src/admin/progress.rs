//! Answers that take a while and say on the way how far they are, to those who ask for that: a stream with an event
//! `stage` as each stage begins, and a last one, `done` or `problem`, with the very body of the ordinary answer.
//!
//! The work goes on by itself and not as somebody reads of it: a body over HTTP/2 is not even looked at while its client
//! leaves no window, and what work holds until it is done, others may wait for.

use std::future::Future;

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::ACCEPT;
use http::{HeaderMap, Response};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use hostel_api::change::StageBegunView;
use hostel_api::problem::Code;

use super::Answer;
use crate::access::audit::Awaited;
use crate::answer::Failure;
use crate::deploy::Stages;
use crate::follow::{EVENT_STREAM, Message, Source, stream};

/// Does the work, and answers when it is done, or follows it if that is asked for. If who asks leaves, it is cancelled
/// either way; if they stay and do not read, it is not.
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
    let awaited = Awaited::default();
    let outcome = awaited.clone();
    let work = tokio::spawn(async move {
        let response = work.await.unwrap_or_else(Failure::into_response);
        last(response, &outcome).await
    });
    let followed = Followed { told, work: Some(AbortOnDropHandle::new(work)), last: None, awaited: awaited.clone() };
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
    /// Bounded, and nobody waits for room in it: what does not fit is not told.
    told: mpsc::Receiver<StageBegunView>,
    /// A task, which ends with this; `None`: it is done.
    work: Option<AbortOnDropHandle<Message>>,
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
                done = work => {
                    self.work = None;
                    self.last = Some(match done {
                        Ok(message) => message,
                        // A panic, which has been told already.
                        Err(error) => {
                            let failure = Failure::new(Code::Internal, error.to_string());
                            last(failure.into_response(), &self.awaited).await
                        }
                    });
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
    use std::pin::pin;

    use futures_util::{StreamExt, poll};
    use http::StatusCode;
    use tokio::sync::oneshot;

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

    /// Found by a review: a client over HTTP/2 that left no window for a stage held the lock of all deployments for as
    /// long as it liked.
    #[tokio::test]
    async fn work_goes_on_though_nobody_reads_of_it() {
        let (done, is_done) = oneshot::channel();
        let work = |mut stages: Stages| async move {
            for _ in 0..100 {
                stages.enter("check");
                tokio::task::yield_now().await;
            }
            done.send(()).unwrap();
            Ok(json(StatusCode::OK, &"it runs"))
        };
        let mut body = answer(&accepting(EVENT_STREAM), work).await.unwrap().into_body().into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), ": following\n\n");
        is_done.await.unwrap();
        let mut rest = String::new();
        while let Some(chunk) = body.next().await {
            rest.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        let told = rest.matches("event: stage\n").count();
        assert!((1..100).contains(&told), "{told}: what does not fit is not told");
        assert!(rest.ends_with("event: done\ndata: \"it runs\"\n\n"), "{rest}");
    }

    #[tokio::test]
    async fn work_ends_where_it_stands_if_who_asked_leaves() {
        let (held, is_dropped) = oneshot::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let work = |_: Stages| async move {
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
            drop(held);
            Ok(json(StatusCode::OK, &"never"))
        };
        let response = answer(&accepting(EVENT_STREAM), work).await.unwrap();
        has_begun.await.unwrap();
        let mut is_dropped = pin!(is_dropped);
        assert!(poll!(&mut is_dropped).is_pending());
        drop(response);
        assert!(is_dropped.await.is_err());
    }
}
