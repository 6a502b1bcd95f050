//! A handler that computes for a fraction of a millisecond, in loops of a few instructions: where the host's checks between
//! two rounds of a loop weigh the most. It counts primes with a sieve.

/// Primes below this are counted. Picked so that it takes some 200 µs on a machine of 2024.
const BELOW: usize = 65_536;

/// Handles one event.
#[hostel::handler]
fn handle(event: hostel::Event) -> hostel::Result {
    // What is not known when this is compiled, so that nothing is computed then.
    let below = BELOW + event.body().len() % 2;
    hostel::info!("{} primes below {below}", primes(below));
    Ok(())
}

fn primes(below: usize) -> usize {
    let mut is_composite = vec![false; below];
    let mut count = 0;
    for number in 2..below {
        if is_composite.get(number).copied().unwrap_or(true) {
            continue;
        }
        count += 1;
        let mut multiple = number.saturating_mul(number);
        while let Some(place) = is_composite.get_mut(multiple) {
            *place = true;
            multiple += number;
        }
    }
    count
}
