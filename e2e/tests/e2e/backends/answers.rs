//! What a service answers, and which frames that makes.

use serde_json::{Value, json};
use tollgate_e2e::raw;
use tollgate_e2e::upstream::json_answer;

use super::{Scene, call};

fn frame(id: u64, response: &Value, complete: bool) -> Value {
    json!({ "id": id, "response": response, "complete": complete })
}

#[tokio::test]
async fn an_object_is_passed_on_byte_for_byte() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let body = "{ \"a\" : 1.50,\"é\":\"\\u00e9\",\n\"b\":[ ] }";
    let mut line = scene.call(1).await?;
    line.send(&json_answer("201 Created", body)).await?;
    let expect = format!(r#"{{"id":1,"response":{body},"complete":true}}"#);
    assert_eq!(scene.socket.text().await?, expect);
    Ok(())
}

#[tokio::test]
async fn lines_leave_as_they_come() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(1).await?;
    line.begin_stream("application/x-ndjson; charset=utf-8").await?;
    for n in 0..3 {
        // In two parts, and each frame is awaited: nothing is held back.
        line.chunk("{\"n\":").await?;
        line.chunk(&format!("{n}}}\n")).await?;
        assert_eq!(scene.socket.frame().await?, frame(1, &json!({ "n": n }), false));
    }
    line.chunk("").await?;
    // The last frame must hold a response: existing clients hang if it does not.
    assert_eq!(scene.socket.frame().await?, frame(1, &json!({ "end_of_stream": true }), true));
    Ok(())
}

#[tokio::test]
async fn a_chunk_that_calls_itself_the_last_is_the_last_frame() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(1).await?;
    let ends = [
        json!({ "response": "x", "end_of_stream": true }),
        json!({ "content": "x", "end_of_dialog": true }),
        json!({ "end_of_session": true }),
        json!({ "error": { "type": "llm-error", "message": "no" } }),
    ];
    for (id, end) in (1..).zip(&ends) {
        if id > 1 {
            call(&mut scene.socket, id).await?;
            line.posted().await?;
        }
        line.begin_stream("text/event-stream").await?;
        line.chunk(
            ": hello\n\nevent: message\nid: 7\ndata: {\"n\":1,\r\ndata: \"error\":null}\r\n\r\n",
        )
        .await?;
        let first = frame(id, &json!({ "n": 1, "error": null }), false);
        assert_eq!(scene.socket.frame().await?, first);
        line.chunk(&format!("data: {end}\n\ndata: [DONE]\n\n")).await?;
        line.chunk("").await?;
        assert_eq!(scene.socket.frame().await?, frame(id, end, true));
    }
    // It was not the last after all.
    call(&mut scene.socket, 9).await?;
    line.posted().await?;
    line.begin_stream("application/x-ndjson").await?;
    line.chunk("{\"end_of_stream\":true}\n{\"more\":1}").await?;
    line.chunk("").await?;
    let frames = [json!({ "end_of_stream": true }), json!({ "more": 1 })];
    for response in &frames {
        assert_eq!(scene.socket.frame().await?, frame(9, response, false));
    }
    assert_eq!(scene.socket.frame().await?, frame(9, &frames[0], true));
    Ok(())
}

#[tokio::test]
async fn an_http_caller_gets_the_last_chunk_that_says_something() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (address, key) = (scene.tollgate.address, scene.tollgate.admin_key.clone());
    let path = "/api/v1/flow/default/service/mine";
    let service = async {
        let (mut line, _) = scene.upstream.posted().await?;
        line.begin_stream("application/x-ndjson").await?;
        line.chunk("{\"n\":1}\n{\"n\":2}\n").await?;
        line.chunk("").await?;
        line.posted().await?;
        line.begin_stream("application/x-ndjson").await?;
        line.chunk("{\"n\":1}\n{\"n\":2,\"end_of_stream\":true}\n").await?;
        line.chunk("").await
    };
    let caller = async {
        let first = raw::post(address, path, Some(&key), b"{}").await?;
        anyhow::Ok((first, raw::post(address, path, Some(&key), b"{}").await?))
    };
    let ((), answers) = tokio::try_join!(service, caller)?;
    let expect = ((200, json!({ "n": 2 })), (200, json!({ "n": 2, "end_of_stream": true })));
    assert_eq!(answers, expect);
    Ok(())
}

#[tokio::test]
async fn interim_answers_and_trailers_are_passed_over() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let mut line = scene.call(1).await?;
    line.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n").await?;
    line.send(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\
         trailer: x\r\n\r\n7\r\n{\"a\":1}\r\n0\r\nx: y\r\nset-cookie: z\r\n\r\n",
    )
    .await?;
    assert_eq!(scene.socket.frame().await?, frame(1, &json!({ "a": 1 }), true));
    // The connection is used again.
    call(&mut scene.socket, 2).await?;
    line.posted().await?;
    line.answer(&json!({})).await?;
    assert_eq!(scene.socket.frame().await?, frame(2, &json!({}), true));
    Ok(())
}

#[tokio::test]
async fn an_error_of_the_service_stands_in_the_response() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let error = json!({ "error": { "type": "llm-error", "message": "no tokens left" } });
    for (id, status) in (1..).zip(["200 OK", "400 Bad Request", "503 Service Unavailable"]) {
        let mut line = scene.call(id).await?;
        line.send(&json_answer(status, &error.to_string())).await?;
        assert_eq!(scene.socket.frame().await?, frame(id, &error, true));
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_busy_is_tried_again_later() -> anyhow::Result<()> {
    let mut scene = Scene::open().await?;
    let cases = [
        ("429 Too Many Requests", "retry-after: 7", "rate-limited", json!(7_000)),
        ("429 Too Many Requests", "retry-after: tomorrow", "rate-limited", Value::Null),
        ("503 Service Unavailable", "retry-after: 1", "unavailable", json!(1_000)),
        ("503 Service Unavailable", "x: y", "unavailable", Value::Null),
    ];
    for (id, (status, header, kind, after)) in (1..).zip(cases) {
        let mut line = scene.call(id).await?;
        line.send(&format!("HTTP/1.1 {status}\r\n{header}\r\ncontent-length: 0\r\n\r\n")).await?;
        let error = scene.socket.frame().await?["error"].take();
        let seen = (&error["type"], &error["retryable"], &error["retry_after_ms"]);
        assert_eq!(seen, (&json!(kind), &json!(true), &after));
    }
    Ok(())
}
