use super::*;
use crate::model::ids::Digest;
use crate::testing::named;
use std::sync::Mutex;

use futures_util::future::BoxFuture;

use crate::model::gate::GateVerdict;
use crate::model::outcome::UnitImage;
use crate::model::plan::{Disposition, Parent};
use crate::model::platform::{Arch, Platform};
use crate::model::smoke::SmokeCheck;
use crate::schedule::worker::{Tell, UnitProgress};

/// Answers each image's tries in turn, and notes what ran at once.
#[derive(Default)]
struct Fake {
    failures: Mutex<HashMap<String, Vec<Failure>>>,
    push_failures: Mutex<HashMap<String, Vec<Failure>>>,
    /// Why gates hold images back, by their names.
    faults: Mutex<HashMap<String, String>>,
    running: Mutex<(usize, usize)>,
    hang: bool,
}

impl Worker for Fake {
    fn work<'a>(&'a self, unit: &'a PlannedUnit, tell: Tell<'a>) -> BoxFuture<'a, Result<Success, Failure>> {
        Box::pin(async move {
            {
                let mut running = self.running.lock().expect("not poisoned");
                running.0 += 1;
                running.1 = running.1.max(running.0);
            }
            tell(UnitProgress::Started { key: "".into() });
            let pause = if self.hang { Duration::from_secs(3600) } else { Duration::from_millis(5) };
            tokio::time::sleep(pause).await;
            self.running.lock().expect("not poisoned").0 -= 1;
            let next =
                self.failures.lock().expect("not poisoned").get_mut(unit.image.as_str()).and_then(Vec::pop);
            assert_ne!(unit.image, "panics", "this worker panics");
            next.map_or_else(|| Ok(Success::Built(image(&unit.image))), Err)
        })
    }

    fn ask_gates<'a>(
        &'a self,
        unit: &'a PlannedUnit,
        _tell: Tell<'a>,
    ) -> BoxFuture<'a, Result<GateResult, Failure>> {
        let fault = self.faults.lock().expect("not poisoned").get(unit.image.as_str()).cloned();
        let verdict =
            GateVerdict { command: "gate".to_string(), fault, words: Vec::new(), only_warns: false };
        Box::pin(async move { Ok(GateResult { gates: vec![verdict] }) })
    }

    fn push<'a>(&'a self, unit: &'a PlannedUnit, _tell: Tell<'a>) -> BoxFuture<'a, Result<Pushed, Failure>> {
        let failure =
            self.push_failures.lock().expect("not poisoned").get_mut(unit.image.as_str()).and_then(Vec::pop);
        Box::pin(async move {
            failure.map_or(Ok(Pushed { digest: Some(Digest::of(b"")), ..Pushed::default() }), Err)
        })
    }
}

fn plan(images: &[(&str, Option<&str>)]) -> BuildPlan {
    let unit = |(image, parent): &(&str, Option<&str>)| PlannedUnit {
        image: (*image).into(),
        platform: Platform::new(Arch::X86_64),
        reference: named(&format!("kolla/{image}:t")),
        list: None,
        parent: parent.map_or(Parent::Base("debian".into()), |parent| Parent::Image(parent.into())),
        named: Vec::new(),
        disposition: Disposition::Build,
        reason: String::new(),
    };
    BuildPlan { units: images.iter().map(unit).collect() }
}

fn image(name: &str) -> UnitImage {
    UnitImage { id: format!("id-{name}").into(), key: format!("key-{name}").into(), size: 1, layers: 1 }
}

fn failure(transient: bool) -> Failure {
    Failure { transient, ..Failure::permanent(FailureKind::Build, "no") }
}

async fn outcomes(plan: &BuildPlan, fake: Arc<Fake>, threads: usize) -> (Vec<(String, Outcome)>, Vec<Event>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (_keep, stop) = watch::channel(false);
    run(
        plan,
        fake,
        None,
        |_| 1,
        ScheduleLimits { threads, push_threads: None, gate_threads: None, retries: 2, fail_fast: None },
        stop,
        sender,
    )
    .await;
    let mut events = Vec::new();
    while let Some(event) = receiver.recv().await {
        events.push(event);
    }
    let ends = events.iter().filter_map(|event| match event {
        Event::Finished { unit, outcome, .. } => Some((unit.image.to_string(), outcome.clone())),
        _ => None,
    });
    let mut ends: Vec<_> = ends.collect();
    ends.sort_by(|a, b| a.0.cmp(&b.0));
    (ends, events)
}

#[tokio::test]
async fn a_permanent_failure_takes_only_its_descendants() {
    let plan = plan(&[
        ("base", None),
        ("a", Some("base")),
        ("b", Some("base")),
        ("aa", Some("a")),
        ("aaa", Some("aa")),
    ]);
    let fake = Fake::default();
    fake.failures.lock().expect("not poisoned").insert("a".into(), vec![failure(false)]);
    let (ends, events) = outcomes(&plan, Arc::new(fake), 4).await;
    let lost = Outcome::ParentFailed { root_cause: "a".into() };
    assert_eq!(
        ends,
        [
            ("a".to_string(), Outcome::Failed(failure(false))),
            ("aa".to_string(), lost.clone()),
            ("aaa".to_string(), lost),
            ("b".to_string(), Outcome::Built(image("b"))),
            ("base".to_string(), Outcome::Built(image("base"))),
        ]
    );
    assert!(!events.iter().any(|event| matches!(event, Event::Retrying { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_tried_again_until_tries_run_out() {
    let plan = plan(&[("once", None), ("always", None)]);
    let fake = Fake::default();
    fake.failures
        .lock()
        .expect("not poisoned")
        .extend([("once".to_string(), vec![failure(true)]), ("always".to_string(), vec![failure(true); 5])]);
    let (ends, events) = outcomes(&plan, Arc::new(fake), 1).await;
    assert_eq!(ends[0], ("always".to_string(), Outcome::Failed(failure(true))));
    assert!(ends[1].1.is_success());
    let tries = |name: &str| {
        let is = |event: &&Event| matches!(event, Event::BuildStarted { unit, .. } if &*unit.image == name);
        events.iter().filter(is).count()
    };
    assert_eq!((tries("once"), tries("always")), (2, 3));
}

#[tokio::test]
async fn never_more_than_the_limit_at_once() {
    let images: Vec<String> = (0..20).map(|number| format!("i{number}")).collect();
    let pairs: Vec<(&str, Option<&str>)> = images.iter().map(|name| (name.as_str(), None)).collect();
    let fake = Arc::new(Fake::default());
    outcomes(&plan(&pairs), fake.clone(), 3).await;
    assert_eq!(fake.running.lock().expect("not poisoned").1, 3);
}

#[tokio::test]
async fn a_worker_that_panics_is_a_failed_image() {
    let (ends, _) = outcomes(&plan(&[("panics", None), ("other", None)]), Arc::new(Fake::default()), 1).await;
    assert!(ends[0].1.is_success());
    assert!(matches!(&ends[1].1, Outcome::Failed(failure) if failure.message.contains("panic")), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_up_to_date_is_pushed_and_a_failed_push_costs_nothing_else() {
    let plan = plan(&[("base", None), ("child", Some("base")), ("grandchild", Some("child"))]);
    let fake = Fake::default();
    fake.push_failures
        .lock()
        .expect("not poisoned")
        .extend([("base".to_string(), vec![failure(false)]), ("child".to_string(), vec![failure(true)])]);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (_keep, stop) = watch::channel(false);
    run(
        &plan,
        Arc::new(fake),
        None,
        |_| 1,
        ScheduleLimits { threads: 2, gate_threads: None, push_threads: Some(1), retries: 1, fail_fast: None },
        stop,
        sender,
    )
    .await;
    let mut last: HashMap<String, Outcome> = HashMap::new();
    let mut pushed = Vec::new();
    while let Some(event) = receiver.recv().await {
        match event {
            Event::Finished { unit, outcome, .. } => drop(last.insert(unit.image.to_string(), outcome)),
            Event::Pushed { unit, digest, .. } => pushed.push((unit.image.to_string(), digest)),
            _ => {}
        }
    }
    assert_eq!(last["base"], Outcome::PushFailed(failure(false)));
    assert!(last["child"].is_success() && last["grandchild"].is_success(), "{last:?}");
    let digest = Some(Digest::of(b""));
    pushed.sort();
    assert_eq!(pushed, [("child".to_string(), digest.clone()), ("grandchild".to_string(), digest)]);
}

#[tokio::test]
async fn stopping_cancels_what_runs_and_what_waits() {
    let plan = plan(&[("base", None), ("child", Some("base"))]);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let fake = Arc::new(Fake { hang: true, ..Fake::default() });
    let stopper = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.send(true).expect("the run listens");
    };
    tokio::join!(
        run(
            &plan,
            fake,
            None,
            |_| 1,
            ScheduleLimits {
                threads: 2,
                gate_threads: None,
                push_threads: Some(1),
                retries: 0,
                fail_fast: None
            },
            stopped,
            sender
        ),
        stopper
    );
    let mut ends = Vec::new();
    let mut interrupted = false;
    while let Some(event) = receiver.recv().await {
        match event {
            Event::Finished { unit, outcome, .. } => ends.push((unit.image.to_string(), outcome)),
            Event::Interrupted => interrupted = true,
            _ => {}
        }
    }
    assert!(interrupted);
    let cancelled = |name: &str| (name.to_string(), Outcome::Cancelled { root_cause: None });
    assert_eq!(ends, [cancelled("base"), cancelled("child")]);
}

/// Runs a plan by one worker, ended early by any failure but those of `tolerated`; gives the ends and the pushes.
async fn failing_fast(
    plan: &BuildPlan,
    fake: Fake,
    tolerated: &[&str],
) -> (Vec<(String, Outcome)>, Vec<String>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (_keep, stop) = watch::channel(false);
    let fail_fast = Some(tolerated.iter().map(|image| (*image).into()).collect());
    let limits =
        ScheduleLimits { threads: 2, gate_threads: None, push_threads: Some(1), retries: 0, fail_fast };
    run(plan, Arc::new(fake), None, |_| 1, limits, stop, sender).await;
    let (mut ends, mut pushed) = (Vec::new(), Vec::new());
    while let Some(event) = receiver.recv().await {
        match event {
            Event::Finished { unit, outcome, .. } => ends.push((unit.image.to_string(), outcome)),
            Event::Pushed { unit, .. } => pushed.push(unit.image.to_string()),
            _ => {}
        }
    }
    ends.sort_by(|a, b| a.0.cmp(&b.0));
    pushed.sort();
    (ends, pushed)
}

fn broken(name: &str) -> Fake {
    let fake = Fake::default();
    fake.failures.lock().expect("not poisoned").insert(name.to_string(), vec![failure(false)]);
    fake
}

/// Two that are built at once, one built on each, and one that waits for a place.
const TWO_AT_ONCE: [(&str, Option<&str>); 5] =
    [("a", None), ("b", None), ("z", None), ("aa", Some("a")), ("bb", Some("b"))];

#[tokio::test(start_paused = true)]
async fn the_first_failure_ends_the_run_and_what_runs_goes_on() {
    let (ends, pushed) = failing_fast(&plan(&TWO_AT_ONCE), broken("a"), &["other"]).await;
    let cancelled = Outcome::Cancelled { root_cause: Some("a".into()) };
    let expected = [
        ("a", Outcome::Failed(failure(false))),
        ("aa", Outcome::ParentFailed { root_cause: "a".into() }),
        ("b", Outcome::Built(image("b"))),
        ("bb", cancelled.clone()),
        ("z", cancelled),
    ];
    assert_eq!(ends, expected.map(|(name, end)| (name.to_string(), end)));
    // What is built is pushed all the same.
    assert_eq!(pushed, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_allowed_ends_nothing_early() {
    let (ends, _) = failing_fast(&plan(&TWO_AT_ONCE), broken("a"), &["a"]).await;
    let built: Vec<&str> =
        ends.iter().filter(|(_, end)| end.is_success()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(built, ["b", "bb", "z"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_push_ends_the_run_as_a_failed_build_does() {
    let fake = Fake::default();
    fake.push_failures.lock().expect("not poisoned").insert("a".to_string(), vec![failure(false)]);
    let chain = [("a", None), ("b", Some("a")), ("c", Some("b")), ("d", Some("c"))];
    let (ends, _) = failing_fast(&plan(&chain), fake, &[]).await;
    let last = ends.last().expect("ends");
    assert_eq!(*last, ("d".to_string(), Outcome::Cancelled { root_cause: Some("a".into()) }));
    assert!(ends.contains(&("a".to_string(), Outcome::PushFailed(failure(false)))));
}

/// Finds fault with images whose name begins with `ill`, and does not take those of `other`. Hangs at `endless` until it is
/// asked to stop.
struct FakeGate(watch::Receiver<bool>);

impl Gate for FakeGate {
    fn takes(&self, unit: &PlannedUnit) -> bool {
        unit.image != "other"
    }

    fn test<'a>(
        &'a self,
        units: Vec<PlannedUnit>,
        news: mpsc::UnboundedSender<GateNews>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for unit in units {
                news.send(GateNews::Started(unit.id())).expect("heard");
                if unit.image == "endless" {
                    let _ = self.0.clone().wait_for(|stop| *stop).await;
                    return;
                }
                assert_ne!(unit.image, "bewitched", "this gate panics");
                let fault = unit.image.starts_with("ill").then(|| "ill".to_string());
                let checks = vec![SmokeCheck::new("health", fault)];
                news.send(GateNews::Ended(unit.id(), SmokeResult { stack: None, checks })).expect("heard");
            }
        })
    }
}

/// Events of units, in order, when they are tested and pushed.
async fn tested(images: &[(&str, Option<&str>)], stop_after: Option<Duration>) -> Vec<String> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let limits =
        ScheduleLimits { threads: 4, gate_threads: None, push_threads: Some(1), retries: 0, fail_fast: None };
    let gate: Arc<dyn Gate> = Arc::new(FakeGate(stopped.clone()));
    let plan = plan(images);
    let running = run(&plan, Arc::new(Fake::default()), Some(gate), |_| 1, limits, stopped, sender);
    let stopping = async {
        if let Some(after) = stop_after {
            tokio::time::sleep(after).await;
            stop.send(true).expect("the run listens");
        }
    };
    tokio::join!(running, stopping);
    let mut told = Vec::new();
    while let Some(event) = receiver.recv().await {
        told.extend(match event {
            Event::Finished { unit, outcome, .. } => Some(format!("{} {}", unit.image, outcome.kind())),
            Event::SmokeStarted { unit, .. } => Some(format!("{} is tested", unit.image)),
            Event::Pushed { unit, .. } => Some(format!("{} is pushed", unit.image)),
            _ => None,
        });
    }
    told
}

#[tokio::test(start_paused = true)]
async fn what_fails_its_test_is_not_pushed_and_holds_up_nobody() {
    let told = tested(&[("base", None), ("ill", Some("base")), ("child", Some("ill"))], None).await;
    assert_eq!(
        told,
        [
            "base built",
            "ill built",
            "child built",
            "base is tested",
            "ill is tested",
            "ill smoke_error",
            "child is tested",
            "base is pushed",
            "child is pushed",
        ]
    );
}

/// Ends and pushes of units, in order, when gates have these faults.
async fn gated(images: &[(&str, Option<&str>)], faults: &[&str], push_threads: Option<usize>) -> Vec<String> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (_keep, stop) = watch::channel(false);
    let limits =
        ScheduleLimits { threads: 1, gate_threads: Some(1), push_threads, retries: 0, fail_fast: None };
    let fake = Fake::default();
    let faults = faults.iter().map(|image| (image.to_string(), "exit code 1".to_string())).collect();
    *fake.faults.lock().expect("not poisoned") = faults;
    run(&plan(images), Arc::new(fake), None, |_| 1, limits, stop, sender).await;
    let mut told = Vec::new();
    while let Some(event) = receiver.recv().await {
        told.extend(match event {
            Event::Finished { unit, outcome, .. } => Some(format!("{} {}", unit.image, outcome.kind())),
            Event::GateEnded { unit, .. } => Some(format!("{} was asked about", unit.image)),
            Event::Pushed { unit, .. } => Some(format!("{} is pushed", unit.image)),
            _ => None,
        });
    }
    told
}

#[tokio::test(start_paused = true)]
async fn what_a_gate_holds_back_is_not_pushed_and_its_children_are() {
    let images = [("base", None), ("ill", Some("base")), ("child", Some("ill"))];
    let mut told = gated(&images, &["ill"], Some(1)).await;
    assert!(
        told.iter().position(|it| it == "base was asked about")
            < told.iter().position(|it| it == "child built")
    );
    told.sort();
    assert_eq!(
        told,
        [
            "base built",
            "base is pushed",
            "base was asked about",
            "child built",
            "child is pushed",
            "child was asked about",
            "ill built",
            "ill gated",
            "ill was asked about",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn gates_are_asked_without_pushes_too() {
    assert_eq!(gated(&[("a", None)], &[], None).await, ["a built", "a was asked about"]);
    assert_eq!(gated(&[("a", None)], &["a"], None).await, ["a built", "a was asked about", "a gated"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_gate_does_not_take_is_pushed_while_others_are_built() {
    let told = tested(&[("other", None), ("child", Some("other"))], None).await;
    assert_eq!(told, ["other built", "other is pushed", "child built", "child is tested", "child is pushed"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_to_no_end_at_the_gate_is_not_pushed() {
    let told = tested(&[("a", None), ("bewitched", Some("a")), ("b", Some("bewitched"))], None).await;
    let ends: Vec<&str> = told.iter().map(String::as_str).filter(|it| it.ends_with("smoke_error")).collect();
    assert!(
        ends.contains(&"bewitched smoke_error") && ends.contains(&"b smoke_error") && ends.len() == 2,
        "{told:?}"
    );
    assert!(told.contains(&"a is pushed".to_string()), "{told:?}");

    let told = tested(&[("a", None), ("endless", Some("a"))], Some(Duration::from_secs(9))).await;
    assert_eq!(told.last().map(String::as_str), Some("endless smoke_error"), "{told:?}");
}
