//! Several processes work on one digest in a random order, killed between any two steps: the invariants hold at every moment.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::machine::{Do, End, Saw};
use super::simulated::{CONTENT, Mode, Process, World};
use crate::{Cause, Failure};

const PROCESSES: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Goes on, or begins with a new request if there is nothing to go on with.
    Step(usize),
    /// Goes on until something has to be waited for.
    Run(usize),
    Save(usize),
    Read(usize),
    /// A reader of a range wants a block.
    Want(usize, usize),
    Kill(usize),
    /// A run is dropped and begun again.
    Again(usize),
    /// Nobody waits any more.
    Stop(usize),
    /// The driver gives the fill up.
    GiveUp(usize),
    Mode(Mode),
    Expire,
    Evict,
    Reboot(u8),
}

fn op() -> impl Strategy<Value = Op> {
    use Mode::{Broken, Cut, Full, Honest, Lying, NoSize, OtherSize, TooLong};
    let who = 0..PROCESSES;
    let modes = prop::sample::select(vec![Honest, NoSize, OtherSize, Lying, TooLong, Cut, Full, Broken]);
    prop_oneof![
        40 => who.clone().prop_map(Op::Step),
        6 => who.clone().prop_map(Op::Run),
        8 => who.clone().prop_map(Op::Save),
        6 => who.clone().prop_map(Op::Read),
        12 => (who.clone(), 0..CONTENT.len() / 2).prop_map(|(who, block)| Op::Want(who, block)),
        4 => who.clone().prop_map(Op::Kill),
        2 => who.clone().prop_map(Op::Again),
        1 => who.clone().prop_map(Op::Stop),
        1 => who.prop_map(Op::GiveUp),
        3 => Just(Op::Mode(Honest)),
        3 => modes.prop_map(Op::Mode),
        3 => Just(Op::Expire),
        1 => Just(Op::Evict),
        1 => any::<u8>().prop_map(Op::Reboot),
    ]
}

/// All processes and their world.
#[derive(Default)]
struct Simulation {
    world: World,
    processes: [Option<Process>; PROCESSES],
    commits: usize,
}

impl Simulation {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Step(who) => self.step(who),
            Op::Run(who) => (0..40).for_each(|_| self.step(who)),
            Op::Save(who) => self.with(who, World::save),
            Op::Read(who) => self.with(who, World::read),
            Op::Want(who, block) => self.with(who, |world, process| world.want(process, block)),
            Op::Kill(who) => {
                if let Some(process) = self.processes[who].take() {
                    self.world.kill(who, &process);
                }
            }
            Op::Again(who) => self.tell(who, Saw::Again),
            Op::Stop(who) => self.tell(who, Saw::Stop),
            Op::GiveUp(who) => self.tell(who, Saw::Failed(Failure::new(Cause::Upstream, "gave up"))),
            Op::Mode(mode) => self.world.mode = Some(mode),
            Op::Expire => self.world.expire(),
            Op::Evict => self.world.evict(),
            Op::Reboot(chance) => {
                for who in 0..PROCESSES {
                    self.apply(Op::Kill(who));
                }
                self.world.reboot(chance);
            }
        }
        let owners = self.processes.iter().flatten().filter(|process| World::owns(process)).count();
        if owners > 1 {
            self.world.violations.push(("i2", format!("{owners} owners")));
        }
    }

    fn step(&mut self, who: usize) {
        if self.processes[who].as_ref().is_none_or(|process| matches!(process.step, Do::End(_))) {
            self.processes[who] = Some(Process::start());
        }
        self.with(who, |world, process| {
            world.step(who, process);
            world.read(process);
        });
        let done = self.processes[who].as_ref().is_some_and(|process| process.step == Do::End(End::Committed));
        self.commits += usize::from(done);
    }

    fn with(&mut self, who: usize, act: impl FnOnce(&mut World, &mut Process)) {
        if let Some(process) = &mut self.processes[who] {
            act(&mut self.world, process);
        }
    }

    /// What a driver may say while a fill is owned and waits for the network.
    fn tell(&mut self, who: usize, saw: Saw) {
        if let Some(process) = &mut self.processes[who]
            && matches!(process.step, Do::Ask(_) | Do::Receive | Do::Break(_))
        {
            process.tell(saw);
        }
    }

    /// From wherever it is, a digest can be had once things are well: no state is a dead end.
    fn recovers(&mut self) {
        for who in 0..PROCESSES {
            self.apply(Op::Kill(who));
        }
        self.world.mode = Some(Mode::Honest);
        // Wrong bytes and wrong sizes of the past may have to be found out first.
        for _ in 0..4 {
            self.world.expire();
            self.processes[0] = None;
            for _ in 0..100 {
                self.step(0);
                if self.world.blob.is_some() {
                    return;
                }
            }
        }
        self.world.violations.push(("i5", "a dead end".into()));
    }
}

/// Runs the operations; whatever broke the invariant.
fn broken(ops: &[Op], invariant: &str) -> Vec<String> {
    let mut simulation = Simulation::default();
    for op in ops {
        simulation.apply(*op);
    }
    simulation.recovers();
    let violations = simulation.world.violations.into_iter();
    violations.filter(|(name, _)| *name == invariant).map(|(_, what)| what).collect()
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 50..400)
}

fn config() -> Config {
    Config {
        cases: 400,
        rng_seed: RngSeed::Fixed(3),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn i1_what_is_committed_is_complete_and_closed(ops in ops()) {
        prop_assert_eq!(broken(&ops, "i1"), Vec::<String>::new());
    }

    #[test]
    fn i2_at_most_one_owner(ops in ops()) {
        prop_assert_eq!(broken(&ops, "i2"), Vec::<String>::new());
    }

    #[test]
    fn i4_no_wrong_body_ends_well_and_nothing_shown_changes(ops in ops()) {
        prop_assert_eq!(broken(&ops, "i4"), Vec::<String>::new());
    }

    #[test]
    fn i5_a_partial_goes_on_where_it_was(ops in ops()) {
        prop_assert_eq!(broken(&ops, "i5"), Vec::<String>::new());
    }

    #[test]
    fn i6_a_failure_on_record_answers(ops in ops()) {
        prop_assert_eq!(broken(&ops, "i6"), Vec::<String>::new());
    }
}

/// The way of one fill, step by step, and what a kill after each of them leaves.
#[test]
fn killed_after_every_step_an_heir_finishes() {
    for (saves, wants) in [(false, false), (true, false), (false, true), (true, true)] {
        for reboot in [None, Some(0), Some(1), Some(2), Some(4), Some(8), Some(15)] {
            let mut steps = 0;
            loop {
                let mut simulation = Simulation::default();
                for _ in 0..steps {
                    simulation.step(0);
                    for block in (1..CONTENT.len() / 2).step_by(2).filter(|_| wants) {
                        simulation.apply(Op::Want(0, block));
                    }
                    if saves {
                        simulation.apply(Op::Save(0));
                    }
                }
                let done = simulation.commits > 0;
                simulation.apply(Op::Kill(0));
                if let Some(chance) = reboot {
                    simulation.apply(Op::Reboot(chance));
                }
                let was = format!("{steps} steps, saves {saves}, wants {wants}, reboot {reboot:?}");
                for _ in 0..200 {
                    simulation.step(1);
                }
                assert!(simulation.commits > 0, "{was}");
                assert_eq!(simulation.world.violations, [], "{was}");
                if done {
                    assert!(steps > CONTENT.len(), "the simulation shows too little");
                    break;
                }
                steps += 1;
            }
        }
    }
}
