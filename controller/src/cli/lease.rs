//! `longrein lease`: who may command a function, and how that changes.

use std::time::Duration;

use clap::Subcommand;
use longrein_io::exit::Exit;
use longrein_io::shutdown::Shutdown;
use longrein_proto::base::{FencingToken, Name, NodeKind, NodeName, OfferId, Reason, Right};
use longrein_proto::role::VehicleStatus;
use longrein_proto::wire::{Drive, FunctionKind, News, OfferEnd};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use super::claim_args::{ClaimArgs, next_offer};
use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::release::{self, ReleaseArgs};
use super::{output, report, run};
use crate::{Claim, Events, Lease, RequestError, Vehicle, VehicleEvent};

/// What to do with leases.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "a comment here would replace the help text that stands at the arguments of each verb"
)]
pub enum LeaseVerb {
    List(ListArgs),
    Take(TakeArgs),
    Preempt(PreemptArgs),
    Offer(OfferArgs),
    Accept(AcceptArgs),
    Refuse(RefuseArgs),
    Revoke(RevokeArgs),
    Release(ReleaseArgs),
}

/// Say who holds the functions of a vehicle, and what you may do with them
#[derive(Debug, clap::Args)]
#[command(after_help = after_help!("Example: longrein lease list truck-17 --config alice.toml"))]
pub struct ListArgs {
    /// The vehicle, by the name of its agent
    pub vehicle: Name,

    /// Print one JSON object a line for each function
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Take the lease of a function and keep it until Ctrl-C
///
/// A drive function is told to stand meanwhile. To drive use `longrein drive`, which takes the same options.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein lease take truck-17 --wait-s 60 --config alice.toml")
)]
pub struct TakeArgs {
    /// Which function.
    #[command(flatten)]
    pub target: Target,

    /// Wait this many seconds for the lease while somebody else has it, after those who waited before
    #[arg(long, value_name = "SECONDS")]
    pub wait_s: Option<u16>,
}

/// Take the lease of a function from somebody of lower priority, and keep it until Ctrl-C
///
/// The holder's commands are refused at once, and the vehicle stops; it is told who and why. Priorities stand in the agent's
/// `[[allow]]` sections. To drive use `longrein drive --preempt`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein lease preempt truck-17 --reason 'gate is closing' --config chief.toml")
)]
pub struct PreemptArgs {
    /// Which function.
    #[command(flatten)]
    pub target: Target,

    /// For the holder and the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Reason,
}

/// Offer a lease of yours to another operator, and wait for what becomes of it
///
/// Your drive goes on until the other one's commands have arrived for half a second; then the vehicle takes theirs, without a
/// gap. Any of your programs can offer: leave the drive running and offer from another terminal.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein lease offer truck-17 --to bob --config alice.toml")
)]
pub struct OfferArgs {
    /// Which function.
    #[command(flatten)]
    pub target: Target,

    /// The other operator's controller, by its name
    #[arg(long, value_name = "NAME")]
    pub to: Name,
}

/// Wait for an offer of a lease, accept it, and keep the lease until Ctrl-C
///
/// A drive function is told to stand from then on. To drive on use `longrein drive --accept`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein lease accept truck-17 --config bob.toml")
)]
pub struct AcceptArgs {
    /// Which function.
    #[command(flatten)]
    pub target: Target,
}

/// Wait for an offer of a lease, and decline it
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein lease refuse truck-17 --busy --config bob.toml")
)]
pub struct RefuseArgs {
    /// Which function.
    #[command(flatten)]
    pub target: Target,

    /// Say that you drive something else
    #[arg(long)]
    pub busy: bool,
}

/// End the lease of whoever holds a function, as a supervisor
///
/// The vehicle stops. Whoever held the lease gets none for 30 s.
#[derive(Debug, clap::Args)]
#[command(
    after_help = after_help!("Example: longrein lease revoke truck-17 --reason 'shift is over' --config chief.toml")
)]
pub struct RevokeArgs {
    /// Which function.
    #[command(flatten)]
    pub target: Target,

    /// For the holder and the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Reason,
}

/// A function of a vehicle, and how to reach it.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The vehicle, by the name of its agent
    pub vehicle: Name,

    /// The function
    #[arg(long, value_name = "FUNCTION", default_value = "drive")]
    pub function: Name,

    /// Print one JSON object for each thing that happens
    #[arg(long)]
    pub json: bool,

    /// How to connect.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Does what the verb says.
///
/// # Errors
/// When the vehicle is not reached, or refuses.
pub fn run(verb: LeaseVerb) -> Result<(), Failure> {
    match verb {
        LeaseVerb::List(args) => list(&args),
        LeaseVerb::Take(args) => {
            let claim = ClaimArgs {
                wait_s: args.wait_s,
                ..ClaimArgs::default()
            };
            hold(&args.target, claim)
        }
        LeaseVerb::Preempt(args) => {
            let claim = ClaimArgs {
                preempt: Some(args.reason),
                ..ClaimArgs::default()
            };
            hold(&args.target, claim)
        }
        LeaseVerb::Accept(args) => {
            let claim = ClaimArgs {
                accept: true,
                ..ClaimArgs::default()
            };
            hold(&args.target, claim)
        }
        LeaseVerb::Offer(args) => with(&args.target, async |vehicle, events| {
            offer(&args, vehicle, events).await
        }),
        LeaseVerb::Refuse(args) => with(&args.target, async |vehicle, events| {
            let target = &args.target;
            eprintln!(
                "waiting until the holder of {} offers it ...",
                target.function
            );
            let (offer, from) = next_offer(&target.function, events).await?;
            vehicle.decline(&target.function, offer, args.busy).await?;
            let line = format!("offer {offer} of {from} is declined");
            target.say(
                line,
                json!({ "event": "declined", "offer": offer.0, "from": from.to_string() }),
            )
        }),
        LeaseVerb::Revoke(args) => with(&args.target, async |vehicle, _| {
            let target = &args.target;
            vehicle
                .revoke(&target.function, args.reason.clone())
                .await?;
            let line = format!("{}: {} is revoked", target.vehicle, target.function);
            target.say(line, json!({ "event": "revoked" }))
        }),
        LeaseVerb::Release(args) => release::run(&args),
    }
}

impl Target {
    fn say(&self, line: String, mut object: Value) -> Result<(), Failure> {
        if let Some(object) = object.as_object_mut() {
            object.insert("vehicle".into(), self.vehicle.as_str().into());
            object.insert("function".into(), self.function.as_str().into());
        }
        output::print([if self.json { object.to_string() } else { line }])?;
        Ok(())
    }
}

/// Opens a session, and does something with the vehicle that a signal ends unfinished.
fn with(
    target: &Target,
    verb: impl AsyncFnOnce(&Vehicle, &mut Events) -> Result<(), Failure>,
) -> Result<(), Failure> {
    run::brief(|| async {
        let connection = target.connection.connect().await?;
        let what = format!("opening a session with {}", target.vehicle);
        let vehicle = run::patiently(&what, connection.open(&target.vehicle)).await?;
        let mut events = vehicle.watch().await?;
        let done = verb(&vehicle, &mut events).await;
        run::farewell(connection).await;
        done
    })
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    run::brief(|| async {
        let connection = args.connection.connect().await?;
        let what = format!("opening a session with {}", args.vehicle);
        let vehicle = run::patiently(&what, connection.open(&args.vehicle)).await?;
        let status = vehicle.status().await?;
        run::farewell(connection).await;
        let functions = vehicle.description().functions;
        let lines = functions.iter().zip(&status.beat.functions);
        output::print(lines.map(|(function, report)| {
            let may = report::rights_words(function.rights);
            let holder = report.holder.as_ref().map(ToString::to_string);
            if args.json {
                json!({
                    "vehicle": args.vehicle.as_str(),
                    "function": function.name.as_str(),
                    "stage": report.stage.to_string(),
                    "holder": holder,
                    "token": report.token.0,
                    "may": may,
                })
                .to_string()
            } else {
                let held = holder.map_or("free".to_string(), |holder| format!("held by {holder}"));
                if !function.rights.has(Right::Observe) {
                    return format!("{}: you may not see it", function.name);
                }
                let may = if may.is_empty() {
                    "nothing".to_string()
                } else {
                    may.join(", ")
                };
                format!(
                    "{}: {}, {held} (token {}); you may: {may}",
                    function.name, report.stage, report.token
                )
            }
        }))?;
        Ok(())
    })
}

fn hold(target: &Target, claim: ClaimArgs) -> Result<(), Failure> {
    run::steady(|mut shutdown| async move {
        let connecting = target.connection.connect();
        let connection = run::or_signal(&mut shutdown, connecting).await??;
        let what = format!("opening a session with {}", target.vehicle);
        let opening = run::patiently(&what, connection.open(&target.vehicle));
        let vehicle = run::or_signal(&mut shutdown, opening).await??;
        let mut events = vehicle.watch().await?;
        let claiming = claim.claim(&target.function, &mut events);
        let claim = run::or_signal(&mut shutdown, claiming).await??;
        let accepted = matches!(claim, Claim::Accept(_));
        let taking = vehicle.claim(&target.function, claim);
        let lease = run::or_signal(&mut shutdown, taking).await??;
        let token = lease.token();
        let line = if accepted {
            format!("{} is coming (token {token})", target.function)
        } else {
            format!("{} is yours (token {token})", target.function)
        };
        let event = if accepted { "coming" } else { "granted" };
        target.say(line, json!({ "event": event, "token": token.0 }))?;
        let held = keep(target, lease, &mut events, &mut shutdown).await;
        run::farewell(connection).await;
        held
    })
}

/// Keeps a lease until a signal, or until it is lost. A drive function is told to stand meanwhile.
async fn keep(
    target: &Target,
    lease: Lease,
    events: &mut Events,
    shutdown: &mut Shutdown,
) -> Result<(), Failure> {
    let functions = lease.vehicle().description().functions;
    let known = functions.iter().find(|known| known.name == target.function);
    let drives = known.is_some_and(|function| function.kind == FunctionKind::Drive);
    let mut ticks = interval(STAND_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if drives {
                    // What it does not take now goes with the next tick, or the lease is lost.
                    lease.drive(Drive::NEUTRAL, false, false).await.ok();
                }
            }
            event = events.next() => match event {
                Some(VehicleEvent::News { function, news: News::Over { how: OfferEnd::HandedOver, .. } })
                    if function == target.function => {
                    let line = format!("{function} is yours");
                    target.say(line, json!({ "event": "granted", "token": lease.token().0 }))?;
                }
                Some(_) => {}
                None => return Err(Failure::new(Exit::Failed, "the connection has ended")),
            },
            loss = lease.lost() => return Err(Failure::new(Exit::Refused, loss)),
            _ = shutdown.wait() => break,
        }
    }
    timeout(END_MAX, lease.release()).await.ok();
    Ok(())
}

async fn offer(args: &OfferArgs, vehicle: &Vehicle, events: &mut Events) -> Result<(), Failure> {
    let target = &args.target;
    let function = &target.function;
    let token = token_of(vehicle, function, &vehicle.status().await?)?;
    let to = NodeName::new(NodeKind::Controller, args.to.clone());
    let offer = vehicle.offer(function, token, &to).await?;
    eprintln!("{function} is offered to {} (offer {offer}) ...", args.to);
    let until = Instant::now() + OFFER_MAX;
    while let Ok(Some(event)) = timeout_at(until, events.next()).await {
        let news = match event {
            VehicleEvent::News { news, .. } => news,
            VehicleEvent::Down { .. } => return Err(RequestError::NoSession.into()),
            VehicleEvent::Up { .. }
            | VehicleEvent::Described { .. }
            | VehicleEvent::Presence { .. }
            | VehicleEvent::Draining { .. }
            | VehicleEvent::Status(_)
            | VehicleEvent::Telemetry { .. }
            | VehicleEvent::Receipt { .. }
            | VehicleEvent::LeaseLost { .. } => continue,
        };
        match news {
            News::Accepted {
                offer: accepted, ..
            } if accepted == offer => {
                eprintln!("{} accepts: drive on until it is handed over", args.to);
            }
            News::Over {
                offer: over, how, ..
            } if over == offer => {
                return tell_end(target, offer, how);
            }
            News::Ring { .. } | News::Accepted { .. } | News::Over { .. } | News::Lost { .. } => {}
        }
    }
    Err(Failure::new(
        Exit::Unreachable,
        "nothing more was heard of the offer",
    ))
}

fn tell_end(target: &Target, offer: OfferId, how: OfferEnd) -> Result<(), Failure> {
    let line = format!("offer {offer}: {how}");
    let word = json!({ "event": "offer_over", "offer": offer.0, "how": how.to_string() });
    match how {
        OfferEnd::HandedOver => target.say(line, word),
        OfferEnd::Lapsed => Err(Failure::new(Exit::Expired, line)),
        OfferEnd::Declined
        | OfferEnd::Busy
        | OfferEnd::Cancelled
        | OfferEnd::LeaseEnded
        | OfferEnd::NotTakenUp => Err(Failure::new(Exit::Refused, line)),
    }
}

/// The token of a function's lease, as the vehicle's status says it.
fn token_of(
    vehicle: &Vehicle,
    function: &Name,
    status: &VehicleStatus,
) -> Result<FencingToken, Failure> {
    let known = report::functions(vehicle);
    let place = known.iter().position(|name| name == function);
    let report = place.and_then(|place| status.beat.functions.get(place));
    match report {
        Some(report) => Ok(report.token),
        None => {
            let function = function.clone();
            Err(RequestError::NoSuchFunction { function, known }.into())
        }
    }
}

/// An offer rings for 15 s, its token is stored within 5, and it is taken up within 2: then the word of its end is lost.
const OFFER_MAX: Duration = Duration::from_secs(25);
/// Between commands that let a vehicle stand: well within the watchdog's first limit.
const STAND_PERIOD: Duration = Duration::from_millis(50);
/// For the release, of the 500 ms in which a verb ends after a signal.
const END_MAX: Duration = Duration::from_millis(150);
