//! The packets, byte for byte as go-micro's; `docs/wire/mdns.md` shows them.
//!
//! One packet tells of one node: go-micro clients take only the last of several. The library knows DNS; what is here is
//! which records go in, in which order, and what to make of those that come.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use simple_dns::rdata::{A, AAAA, PTR, RData, SRV, TXT};
use simple_dns::{
    CLASS, CharacterString, Label, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord,
    SimpleDnsError, TYPE,
};

/// The time to live of every record, in seconds, as go-micro's.
pub(crate) const TTL: u32 = 120;

/// The most bytes of a UDP packet over IPv4.
pub(crate) const PACKET: usize = 65_507;

/// The fewest bytes of a question: a name of one byte, type, class.
const QUESTION: usize = 5;

/// The fewest bytes of a record: a name of one byte, type, class, TTL, length.
const RECORD: usize = 11;

/// The bytes of a packet's header.
const HEADER: usize = 12;

/// A node on the wire. Names are without the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    /// `<node id>.<service>.<domain>`.
    pub(crate) name: String,
    /// The name of the machine.
    pub(crate) host: String,
    pub(crate) address: SocketAddr,
    /// What `text::encode` made. Empty where there is nothing to say: a TXT record of length 0, as go-micro sends.
    pub(crate) text: Vec<u8>,
}

/// A node that a packet tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// `<node id>.<service>.<domain>`, its labels as they are, without escapes.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) text: Vec<u8>,
    /// Whether it leaves: its TTL is 0.
    pub(crate) leaves: bool,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) kind: QTYPE,
    /// Whether the asker wants its own id back (RFC 6762, section 5.4).
    pub(crate) unicast: bool,
}

/// A packet that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Query { id: u16, questions: Vec<Asked> },
    Response { told: Vec<Told> },
}

/// Asks for the nodes of a service.
pub(crate) fn query(id: u16, name: &str) -> Result<Vec<u8>, SimpleDnsError> {
    let mut packet = Packet::new_query(id);
    packet.questions.push(pointers(name)?);
    packet.build_bytes_vec()
}

/// The same question as its answer repeats it.
pub(crate) fn ask(name: &str) -> Asked {
    Asked { name: name.to_owned(), kind: QTYPE::TYPE(TYPE::PTR), unicast: false }
}

/// Asks whether someone else has the name, as go-micro does before it announces it.
pub(crate) fn probe(id: u16, instance: &Instance) -> Result<Vec<u8>, SimpleDnsError> {
    let mut packet = Packet::new_query(id);
    packet.questions.push(pointers(&instance.name)?);
    packet.name_servers.push(srv(instance, TTL, (0, 0))?);
    packet.name_servers.push(txt(instance, TTL)?);
    packet.build_bytes_vec()
}

/// Tells everyone of the node, or with a TTL of 0 that it leaves.
pub(crate) fn announcement(instance: &Instance, ttl: u32) -> Result<Vec<u8>, SimpleDnsError> {
    let mut packet = Packet::new_reply(0);
    packet.answers.push(srv(instance, ttl, PREFERENCE)?);
    packet.answers.push(address(instance, ttl)?);
    packet.answers.push(txt(instance, ttl)?);
    packet.build_bytes_vec()
}

/// What an answer holds beside the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    /// The name asked for points at a node: everything about it.
    Pointer(&'a Instance),
    /// Everything about a node but the pointer.
    Whole(&'a Instance),
    /// Where the node is.
    Place(&'a Instance),
    /// The address of its machine.
    Address(&'a Instance),
    /// What it says of itself.
    Text(&'a Instance),
    /// The name asked for points at a service.
    Service(&'a str),
}

/// Answers one question: the question is repeated, or go-micro from v2.9.1 on does not listen.
pub(crate) fn answer(id: u16, asked: &Asked, answer: Answer<'_>) -> Result<Vec<u8>, SimpleDnsError> {
    let mut packet = Packet::new_reply(id);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    packet.questions.push(question(asked)?);
    let (points_at, place, located, text) = match answer {
        Answer::Pointer(node) => (Some(node.name.as_str()), Some(node), Some(node), Some(node)),
        Answer::Whole(node) => (None, Some(node), Some(node), Some(node)),
        Answer::Place(node) => (None, Some(node), Some(node), None),
        Answer::Address(node) => (None, None, Some(node), None),
        Answer::Text(node) => (None, None, None, Some(node)),
        Answer::Service(name) => (Some(name), None, None, None),
    };
    if let Some(target) = points_at {
        packet.answers.push(record(&asked.name, TTL, RData::PTR(PTR(name(target)?)))?);
    }
    if let Some(node) = place {
        packet.answers.push(srv(node, TTL, PREFERENCE)?);
    }
    let before = packet.build_bytes_vec_compressed()?.len();
    if let Some(node) = located {
        packet.answers.push(address(node, TTL)?);
    }
    if let Some(node) = text {
        packet.answers.push(txt(node, TTL)?);
    }
    let bytes = packet.build_bytes_vec_compressed()?;
    Ok(match place {
        Some(node) => point_at_target(bytes, before, &name(&node.host)?),
        None => bytes,
    })
}

/// Replaces the machine's name at `at`, if it stands there in full, by a pointer to the same name just before: the
/// target of the SRV record. The library never points there, go-micro's does, and the bytes are to be equal. Names that
/// follow are not moved by it: they are pointers to what stands earlier.
fn point_at_target(bytes: Vec<u8>, at: usize, host: &Name<'_>) -> Vec<u8> {
    let mut full: Vec<u8> = Vec::new();
    for label in host.as_bytes() {
        full.extend(u8::try_from(label.len()));
        full.extend(label);
    }
    full.push(0);
    let pointer = at.checked_sub(full.len()).and_then(|target| u16::try_from(target).ok()).filter(|to| *to < 0x4000);
    match (bytes.split_at_checked(at), pointer) {
        (Some((head, tail)), Some(pointer)) => match tail.strip_prefix(full.as_slice()) {
            Some(rest) => [head, &(0xc000 | pointer).to_be_bytes(), rest].concat(),
            None => bytes,
        },
        _ => bytes,
    }
}

/// Priority and weight of a node's SRV record, as go-micro's.
const PREFERENCE: (u16, u16) = (10, 1);

/// Bytes of a string in a TXT record.
const STRING: usize = 255;

/// A name without escapes: every dot separates labels.
fn name(text: &str) -> Result<Name<'_>, SimpleDnsError> {
    let labels: Vec<Label<'_>> = text.split('.').map(|label| Label::new(label.as_bytes())).collect::<Result<_, _>>()?;
    Ok(Name::new_with_labels(&labels))
}

fn pointers(to: &str) -> Result<Question<'_>, SimpleDnsError> {
    Ok(Question::new(name(to)?, QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN), false))
}

fn question(asked: &Asked) -> Result<Question<'_>, SimpleDnsError> {
    Ok(Question::new(name(&asked.name)?, asked.kind, QCLASS::CLASS(CLASS::IN), asked.unicast))
}

fn record<'a>(owner: &'a str, ttl: u32, data: RData<'a>) -> Result<ResourceRecord<'a>, SimpleDnsError> {
    Ok(ResourceRecord::new(name(owner)?, CLASS::IN, ttl, data))
}

fn srv(instance: &Instance, ttl: u32, (priority, weight): (u16, u16)) -> Result<ResourceRecord<'_>, SimpleDnsError> {
    let target = name(&instance.host)?;
    record(&instance.name, ttl, RData::SRV(SRV { priority, weight, port: instance.address.port(), target }))
}

fn address(instance: &Instance, ttl: u32) -> Result<ResourceRecord<'_>, SimpleDnsError> {
    let data = match instance.address.ip() {
        IpAddr::V4(address) => RData::A(A::from(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA::from(address)),
    };
    record(&instance.host, ttl, data)
}

fn txt(instance: &Instance, ttl: u32) -> Result<ResourceRecord<'_>, SimpleDnsError> {
    if instance.text.is_empty() {
        return record(&instance.name, ttl, RData::Empty(TYPE::TXT));
    }
    let mut text = TXT::new();
    for string in instance.text.chunks(STRING) {
        text.add_char_string(CharacterString::new(string)?);
    }
    record(&instance.name, ttl, RData::TXT(text))
}

/// Why a packet is not one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PacketError {
    #[error("the packet promises more than its {0} bytes can hold")]
    Promises(usize),
    #[error("the packet is not a DNS message: {0}")]
    Dns(#[from] SimpleDnsError),
}

/// Reads a packet. Records that tell nothing of a node are left out.
pub(crate) fn parse(bytes: &[u8]) -> Result<Message, PacketError> {
    check_counts(bytes)?;
    let packet = Packet::parse(bytes)?;
    if packet.has_flags(PacketFlag::RESPONSE) {
        return Ok(Message::Response { told: told(&packet) });
    }
    // An answer to what is no standard query would be a wrong one (RFC 6762, section 18.3).
    let standard = packet.opcode() == OPCODE::StandardQuery;
    let questions = packet.questions.iter().filter(|_| standard).filter_map(|question| {
        let in_class = matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY);
        let name = text(&question.qname).filter(|_| in_class)?;
        Some(Asked { name, kind: question.qtype, unicast: question.unicast_response })
    });
    Ok(Message::Query { id: packet.id(), questions: questions.collect() })
}

/// The library makes room for as many records as the header promises, before it looks for them: twelve bytes could ask
/// for megabytes.
fn check_counts(bytes: &[u8]) -> Result<(), PacketError> {
    let (Some(counts), Some(body)) = (bytes.get(4..HEADER), bytes.get(HEADER..)) else {
        return Err(PacketError::Promises(bytes.len()));
    };
    let (counts, _) = counts.as_chunks::<2>();
    let least = [QUESTION, RECORD, RECORD, RECORD];
    let promised: usize =
        counts.iter().zip(least).map(|(count, least)| usize::from(u16::from_be_bytes(*count)) * least).sum();
    if promised > body.len() {
        return Err(PacketError::Promises(bytes.len()));
    }
    Ok(())
}

/// The nodes of which a packet has SRV, address and TXT, in whatever order and section.
fn told(packet: &Packet<'_>) -> Vec<Told> {
    let records = || packet.answers.iter().chain(&packet.additional_records);
    let mut hosts: BTreeMap<String, IpAddr> = BTreeMap::new();
    let mut texts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for record in records() {
        let Some(owner) = text(&record.name) else { continue };
        match &record.rdata {
            RData::A(A { address }) => _ = hosts.insert(owner, IpAddr::V4((*address).into())),
            // go-micro prefers IPv4 where a machine has both.
            RData::AAAA(AAAA { address }) => _ = hosts.entry(owner).or_insert(IpAddr::V6((*address).into())),
            RData::TXT(strings) => _ = texts.insert(owner, concatenated(strings)),
            RData::Empty(TYPE::TXT) => _ = texts.insert(owner, Vec::new()),
            _ => {}
        }
    }
    let complete = |record: &ResourceRecord<'_>| {
        let RData::SRV(SRV { port, target, .. }) = &record.rdata else { return None };
        let name = text(&record.name)?;
        let address = SocketAddr::new(*hosts.get(&text(target)?)?, *port);
        let text = texts.get(&name)?.clone();
        Some(Told { name, address, text, leaves: record.ttl == 0 })
    };
    records().filter_map(complete).collect()
}

/// The labels joined by dots, if they are text.
fn text(name: &Name<'_>) -> Option<String> {
    let labels: Option<Vec<&str>> = name.as_bytes().map(|label| str::from_utf8(label).ok()).collect();
    labels.map(|labels| labels.join("."))
}

/// All strings as one: go-micro cuts where a string is full.
fn concatenated(strings: &TXT<'_>) -> Vec<u8> {
    match String::try_from(strings.clone()) {
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    }
}
