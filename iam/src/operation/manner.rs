//! What follows a change: its gateways are waited for, or it was a rehearsal.
//!
//! In: what was decided. Out: the same with a receipt, or what it would have been.
//! Never: a secret that was drawn for a rehearsal.

use std::time::Duration;

use tollgate_proto::iam::{Manner, Receipt, Rehearsal, Rehearsed, Reply};
use tollgate_proto::ids::Seq;

use super::{Answered, Context, Request, sockets};
use crate::audit;
use crate::feed;
use crate::record::Change;
use crate::refused::Refused;

/// How long an answer waits for gateways to hear what moved.
const USUAL: Duration = Duration::from_millis(250);

/// Does what is left to do before the answer goes out.
pub(super) async fn follow(
    context: &Context,
    request: &Request,
    answered: &mut Answered,
) -> Result<(), Refused> {
    if let Some(changes) = answered.rehearsed.take() {
        let dry_run = Some(rehearsal(context, request, &changes).await?);
        // Whatever else stands there was drawn, and is nobody's.
        answered.reply = Reply { dry_run, ..Reply::default() };
        return Ok(());
    }
    let Some(seq) = answered.seq else { return Ok(()) };
    match request.manner {
        Manner::Wait => answered.reply.receipt = Some(wait(context, seq).await),
        Manner::Usual | Manner::DryRun if context.feed.tells(seq) => hear(context, seq).await,
        Manner::Usual | Manner::DryRun => {}
    }
    Ok(())
}

/// Whoever was told that it is done shall not see it otherwise.
async fn hear(context: &Context, seq: Seq) {
    let (own, others) =
        tokio::join!(context.feed.receipt(seq, USUAL), context.nodes.receipt(seq, USUAL));
    if own.and(&others).behind > 0 {
        context.metrics.receipts_late.inc();
    }
}

/// Waits until no gateway uses anything of before.
async fn wait(context: &Context, seq: Seq) -> Receipt {
    let (own, others) =
        tokio::join!(context.feed.last_receipt(seq), context.nodes.last_receipt(seq));
    let feed::Receipt { marked, behind, closed, cancelled, took } = own.and(&others);
    Receipt {
        gateways_marked: marked as u64,
        gateways_silent: behind as u64,
        sockets_closed: closed,
        calls_cancelled: cancelled,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

async fn rehearsal(
    context: &Context,
    request: &Request,
    changes: &[Change],
) -> Result<Rehearsal, Refused> {
    let rehearsed = |change: &Change| {
        let (event, target) = audit::describe(change);
        Rehearsed {
            event: event.to_string(),
            id: target.id.map(|id| id.to_string()).unwrap_or_default(),
            user_id: target.user.map(|user| user.to_string()).unwrap_or_default(),
            workspace: target.workspace.map(|id| id.to_string()).unwrap_or_default(),
        }
    };
    let (sockets, survey) = sockets::count_concerned(context, request, changes).await?;
    Ok(Rehearsal { changes: changes.iter().map(rehearsed).collect(), sockets, survey })
}
