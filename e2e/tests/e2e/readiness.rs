//! What a gateway says of itself to whoever sends it clients: that it is ready while it hears of IAM.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tollgate_e2e::far::cable::State;
use tollgate_e2e::far::{Far, Road};
use tollgate_e2e::{Tollgate, raw};

const NOT_HEARD: Option<&str> = Some("iam is not heard");
const LEASE: (&str, &str) = ("link.lease", "1s");
/// Whatever comes about has done so then.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until it says that this is lacking.
async fn until(far: &Far, lacking: Option<&str>) -> anyhow::Result<()> {
    let come = async {
        while raw::lacking(far.admin_address).await?.as_deref() != lacking {
            sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, come).await?
}

#[tokio::test]
async fn a_gateway_is_ready_while_it_hears_of_iam() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&[LEASE]).await?;
    assert_eq!(raw::lacking(tollgate.admin_address).await?, None);
    let far = Far::start(&tollgate.road()?, "", &[LEASE]).await?;
    assert_eq!(raw::lacking(far.admin_address).await?, None);
    for state in [State::Broken, State::Silent, State::Deaf] {
        far.cable.turn(state);
        until(&far, NOT_HEARD).await?;
        far.cable.turn(State::Whole);
        until(&far, None).await?;
    }
    assert_eq!(raw::lacking(tollgate.admin_address).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_iam_never_answered_is_not_ready() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&[LEASE]).await?;
    // It refuses the secret.
    let stranger = Road { secret: "x".repeat(64).into(), ..tollgate.road()? };
    // Nobody listens there.
    let iam = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let away = Road { iam, ..tollgate.road()? };
    for road in [stranger, away] {
        let far = Far::start(&road, "", &[LEASE]).await?;
        assert_eq!(raw::lacking(far.admin_address).await?.as_deref(), NOT_HEARD);
    }
    Ok(())
}
