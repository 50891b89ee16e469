//! A service that takes its time costs nobody else on the socket any.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Scene;

/// On a machine that is busy, with a build that is not fast.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn quick_calls_and_a_re_auth_do_not_wait_for_slow_calls() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut slow = Vec::new();
    for id in 1..=40 {
        slow.push(scene.call(id).await?);
    }
    let begin = Instant::now();
    for id in 100..300 {
        scene.socket.call(json!(id), json!({ "prompt": "hello" })).await?;
    }
    for _ in 100..300 {
        let frame = scene.socket.frame().await?;
        assert!(frame["id"].as_u64() >= Some(100) && frame["complete"] == true, "{frame}");
    }
    let key = scene.tollgate.admin_key.clone();
    assert_eq!(scene.socket.auth(&key).await?["type"], "auth-ok");
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
    // The slow ones are still there, and are answered under the id of each.
    for (id, line) in (1..).zip(&mut slow) {
        line.answer(&json!({ "n": id })).await?;
        let frame = scene.socket.frame().await?;
        assert_eq!((&frame["id"], &frame["response"]["n"]), (&json!(id), &json!(id)), "{frame}");
    }
    Ok(())
}
