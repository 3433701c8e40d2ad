//! A plan of any bytes, as a shim may find in its directory: it is refused, or is what it says.
#![no_main]

use hull_container::plan::{ExecPlan, LaunchPlan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(plan) = postcard::from_bytes::<LaunchPlan>(bytes) {
        let again = postcard::to_allocvec(&plan).expect("a plan can be written");
        let same: LaunchPlan = postcard::from_bytes(&again).expect("what was written can be read");
        assert_eq!(format!("{plan:?}"), format!("{same:?}"));
        plan.namespaces.user.root();
    }
    if let Ok(plan) = postcard::from_bytes::<ExecPlan>(bytes) {
        postcard::to_allocvec(&plan).expect("a plan can be written");
    }
});
