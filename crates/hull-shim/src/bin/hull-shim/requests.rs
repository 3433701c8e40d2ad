//! What clients ask for, and what becomes of it.

use hull_model::id::ExecId;
use hull_shim::protocol::{
    Answer, Ask, Attach, Event, Failure, Message, Phase, Process, Request, State, VERSION,
};

use crate::attachment::Attachment;
use crate::child::{nanos, not_running};
use crate::connection::Connection;
use crate::guest;
use crate::supervisor::Supervisor;

impl Supervisor<'_> {
    /// Does all that a connection asked for so far. Gives it back unless it attached.
    pub(crate) fn serve(&mut self, mut connection: Connection) -> Option<Connection> {
        while let Some(request) = connection.request() {
            match request {
                Request::Hello { .. } => {
                    connection.send(&Message::Welcome { version: VERSION, state: self.state() });
                }
                Request::Ask { number, ask } => {
                    let (answer, event) = self.answer(ask);
                    connection.send(&Message::Answer { number, answer });
                    if let Some(event) = event {
                        connection.send(&Message::Event(event.clone()));
                        self.tell(&event);
                    }
                }
                Request::Attach(attach) => return self.attach(connection, attach),
            }
        }
        Some(connection)
    }

    fn attach(&mut self, mut connection: Connection, attach: Attach) -> Option<Connection> {
        let child = match self.children.get_mut(attach.process) {
            Ok(child) if matches!(child.phase, Phase::Exited(_)) => {
                connection.refuse("the process has ended".to_owned());
                return Some(connection);
            }
            Ok(child) => child,
            Err(failure) => {
                connection.refuse(failure.message);
                return Some(connection);
            }
        };
        connection.send(&Message::Attached);
        let id = connection.id;
        let (socket, pending, early) = connection.into_parts();
        child.attachments.push(Attachment::new(id, socket, attach, pending, early));
        None
    }

    fn answer(&mut self, ask: Ask) -> (Answer, Option<Event>) {
        let outcome = match ask {
            Ask::State => return (Answer::State(self.state()), None),
            Ask::Start => return self.start(),
            Ask::StartExec { id } => return (self.start_exec(id), None),
            Ask::Exec { id, exec } => self.children.add(id, &exec),
            Ask::RemoveExec { id } => self.children.remove(id),
            Ask::Signal { process, signal } => {
                self.children.get_mut(process).and_then(|child| child.signal(signal.number()))
            }
            Ask::Resize { process, size } => {
                self.children.get_mut(process).and_then(|child| child.resize(size))
            }
            Ask::CloseStdin { process } => {
                self.children.get_mut(process).map(|child| child.input.end())
            }
        };
        (outcome.map_or_else(Answer::Failed, |()| Answer::Done), None)
    }

    fn start(&mut self) -> (Answer, Option<Event>) {
        let (Some(assembled), &Phase::Ready { pid }) =
            (self.waiting.take(), &self.children.guest.phase)
        else {
            return (Answer::Failed(Failure::other("the guest was started before")), None);
        };
        match assembled.start() {
            Ok(_running) => {
                self.children.guest.phase = Phase::Running { pid, started_at: nanos() };
                (Answer::Started { pid }, Some(Event::Started { pid }))
            }
            Err(failure) => {
                self.start_failure = Some(failure.clone());
                (Answer::Failed(failure), None)
            }
        }
    }

    fn start_exec(&mut self, id: ExecId) -> Answer {
        let guest = &self.children.guest;
        let (Phase::Running { .. }, Some(init)) = (&guest.phase, guest.pidfd()) else {
            return Answer::Failed(not_running());
        };
        let ready = guest::clone(init).and_then(|init| Ok((init, self.children.take_plan(id)?)));
        let (init, plan) = match ready {
            Ok(ready) => ready,
            Err(failure) => return Answer::Failed(failure),
        };
        let started = self
            .children
            .get_mut(Process::Exec(id))
            .and_then(|child| guest::exec(&plan, &init, child));
        match started {
            Ok(pid) => Answer::Started { pid },
            Err(failure) => {
                self.children.failed(id, failure.clone());
                Answer::Failed(failure)
            }
        }
    }

    fn state(&self) -> State {
        State {
            phase: self.children.guest.phase.clone(),
            execs: self.children.phases(),
            log_lines_lost: self.lines_lost(),
        }
    }
}
