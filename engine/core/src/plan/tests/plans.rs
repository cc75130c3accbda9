//! What plans hold.

use super::plan_with;
use crate::plan::Plan;

#[test]
fn the_deployment_of_this_repository() {
    let text = include_str!("../../../../../runbooks/deploy-production.yaml");
    let plan = plan_with(text, &[("version", "v1.2.3")], "").expect("it has no mistakes");
    assert_eq!(plan.plain_params, ["version", "port"]);
    assert_eq!(plan.params["port"], 8087);
    assert_eq!(plan.steps.len(), 14);
    assert_eq!(plan.steps[13].id.as_str(), "record");
    assert!(plan.steps[13].finally);
    assert_eq!(plan.pass_env.len(), 4);
}

#[test]
fn a_plan_is_read_again_as_it_was() {
    let text = include_str!("../../../../../runbooks/deploy-production.yaml");
    let plan = plan_with(text, &[("version", "v1.2.3")], "").expect("it has no mistakes");
    let text = serde_json::to_string(&plan).expect("a plan is data");
    let again: Plan = serde_json::from_str(&text).expect("it was written so");
    assert_eq!(again, plan);
    assert_eq!(serde_json::to_string(&again).expect("a plan is data"), text);
}
