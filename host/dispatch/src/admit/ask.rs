//! Asking: publishing with a reply topic, and waiting for what comes on it.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use hostel_event::message::Event;
use hostel_event::port::{Publish, PublishError, Question, Request, RequestError};
use hostel_event::reply::{REPLY_TO_HEADER, reply_topic};

use super::Admission;
use crate::reply::Waiting;

impl Request for Admission {
    fn request(&self, question: Question) -> BoxFuture<'_, Result<Vec<Arc<Event>>, RequestError>> {
        Box::pin(async move {
            let Question { mut publication, answers, patience } = question;
            let topic =
                reply_topic(&self.parts.ids.event()).map_err(|error| PublishError::Broker(error.to_string()))?;
            publication.message.headers.remove(REPLY_TO_HEADER);
            publication.message.headers.append(REPLY_TO_HEADER, topic.as_str()).map_err(PublishError::from)?;
            let expected = self.replies.expect(publication.tenant.clone(), topic, answers);
            let mut waiting = expected.map_err(RequestError::TooMany)?;
            self.publish(publication).await?;
            let mut heard = Vec::new();
            let hear = hear(&mut waiting, answers.get(), &mut heard);
            // What came in time is there, whether all came or not.
            let _ = tokio::time::timeout(patience, hear).await;
            if heard.is_empty() { Err(RequestError::Timeout(patience)) } else { Ok(heard) }
        })
    }
}

async fn hear(waiting: &mut Waiting<'_>, wanted: usize, heard: &mut Vec<Arc<Event>>) {
    while heard.len() < wanted {
        let Some(event) = waiting.next().await else { return };
        heard.push(event);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use bytes::Bytes;

    use hostel_event::headers::Headers;
    use hostel_event::message::Message;
    use hostel_event::name::Tenant;
    use hostel_event::port::Publication;
    use hostel_event::subscription::Audience;
    use hostel_event::topic::Topic;

    use super::super::tests::{Nobody, Stopped};
    use super::*;
    use crate::fake::{self, Fake, MEMORY};

    fn question(answers: usize) -> Question {
        let mut headers = Headers::new();
        headers.append("hostel-reply-to", "elsewhere").unwrap();
        Question {
            publication: publication("acme", "orders.price", headers, "how much"),
            answers: NonZeroUsize::new(answers).unwrap(),
            patience: Duration::from_secs(60),
        }
    }

    fn publication(tenant: &str, topic: &str, headers: Headers, body: &'static str) -> Publication {
        Publication {
            tenant: Tenant::new(tenant).unwrap(),
            topic: Topic::new(topic).unwrap(),
            id: None,
            audience: Audience::Everyone,
            message: Message { headers, body: Bytes::from_static(body.as_bytes()) },
        }
    }

    fn bodies(events: &[Arc<Event>]) -> Vec<&[u8]> {
        events.iter().map(|event| &event.message.body[..]).collect()
    }

    /// Asks, and answers with these bodies as soon as the question was published, as if by this tenant.
    async fn asked(answers: usize, tenant: &str, bodies: &[&'static str]) -> Result<Vec<Arc<Event>>, RequestError> {
        let broker = Fake::new(MEMORY);
        let admission = fake::admission(&broker, Arc::new(Stopped), Arc::new(Nobody));
        let answer = async {
            while broker.published.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            let event = Arc::clone(&broker.published.lock()[0].event);
            let to = event.message.headers.get(REPLY_TO_HEADER).unwrap().to_owned();
            for body in bodies {
                admission.publish(publication(tenant, &to, Headers::new(), body)).await.unwrap();
            }
            assert_eq!(event.message.headers.len(), 1, "{event:?}");
            assert_eq!(broker.published.lock().len(), 1, "no broker keeps a reply");
        };
        let (heard, ()) = tokio::join!(admission.request(question(answers)), answer);
        assert_eq!(admission.replies.waiting(), 0);
        heard
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_the_wait() {
        assert_eq!(bodies(&asked(1, "acme", &["5", "6"]).await.unwrap()), [b"5"]);
        assert_eq!(bodies(&asked(2, "acme", &["5", "6"]).await.unwrap()), [b"5", b"6"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_in_time_is_given_and_nothing_is_an_error() {
        assert_eq!(bodies(&asked(3, "acme", &["5"]).await.unwrap()), [b"5"]);
        assert_eq!(asked(1, "acme", &[]).await, Err(RequestError::Timeout(Duration::from_secs(60))));
        assert!(asked(1, "rival", &["5"]).await.is_err(), "another tenant's topic of the same name is another topic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_is_not_published_is_an_error_at_once() {
        let broker = Fake::new(MEMORY);
        broker.full.store(true, std::sync::atomic::Ordering::Relaxed);
        let admission = fake::admission(&broker, Arc::new(Stopped), Arc::new(Nobody));
        let error = admission.request(question(1)).await.unwrap_err();
        assert!(matches!(error, RequestError::Publish(PublishError::Overloaded { .. })), "{error:?}");
        assert_eq!(admission.replies.waiting(), 0);
    }
}
