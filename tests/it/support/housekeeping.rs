//! What the fake daemon tells of all that it holds, and how it removes it.

use std::io;

use serde_json::{Value, json};

use super::docker::{Image, Shared, State};
use super::http::Exchange;

impl State {
    /// Gives an image a name; the one that had it may have no other.
    pub fn name(&mut self, name: &str, image: Image) {
        self.untagged.retain(|untagged| untagged.id != image.id);
        if let Some(old) = self.images.insert(name.to_string(), image) {
            self.lose_name(old);
        }
    }

    /// Every image, once for each name.
    pub fn all_images(&self) -> impl Iterator<Item = &Image> {
        self.images.values().chain(&self.untagged)
    }

    fn lose_name(&mut self, image: Image) {
        if self.all_images().all(|other| other.id != image.id) {
            self.untagged.push(image);
        }
    }

    fn holds(&self, id: &str) -> bool {
        self.all_images().any(|image| image.id == id)
    }
}

impl Shared {
    pub fn list_images(&self, exchange: &mut Exchange) -> io::Result<()> {
        let images = {
            let state = self.state();
            let mut ids: Vec<&str> = state.all_images().map(|image| image.id.as_str()).collect();
            ids.sort_unstable();
            ids.dedup();
            let summary = |id: &str| {
                let image = state.all_images().find(|image| image.id == id)?;
                let named = state.images.iter().filter(|(_, image)| image.id == id);
                let mut tags: Vec<&str> = named.map(|(name, _)| name.as_str()).collect();
                if tags.is_empty() {
                    tags.push("<none>:<none>");
                }
                Some(json!({
                    "Id": id, "ParentId": "", "RepoTags": tags, "RepoDigests": image.repo_digests, "Created": 1,
                    "Size": 1000 + id.len(), "SharedSize": -1, "Labels": image.labels, "Containers": -1,
                }))
            };
            ids.into_iter().filter_map(summary).collect::<Value>()
        };
        exchange.answer(200, &images)
    }

    pub fn list_containers(&self, exchange: &mut Exchange) -> io::Result<()> {
        let containers: Value = {
            let state = self.state();
            let container =
                |(name, image): (&String, &String)| json!({"Names": [format!("/{name}")], "ImageID": image});
            state.containers.iter().map(container).collect()
        };
        exchange.answer(200, &containers)
    }

    pub fn history(&self, exchange: &mut Exchange, name: &str) -> io::Result<()> {
        let image = self.state().all_images().find(|image| image.id == name).cloned();
        let Some(image) = image else { return exchange.answer(404, &no_such_image(name)) };
        let step = |step: &String| json!({"Id": "<missing>", "Created": 1, "CreatedBy": step, "Tags": null, "Size": 1, "Comment": ""});
        exchange.answer(200, &image.history.iter().map(step).collect())
    }

    /// By its last name or by its id, unless a container is made from it.
    pub fn remove_image(&self, exchange: &mut Exchange, name: &str) -> io::Result<()> {
        let answer = {
            let mut state = self.state();
            let by_id = state.untagged.iter().position(|image| image.id == name);
            let id = state.images.get(name).map(|image| image.id.clone()).or(by_id.map(|_| name.to_string()));
            let names = state.images.values().filter(|image| Some(&image.id) == id.as_ref()).count();
            let used = state.containers.values().any(|image| Some(image) == id.as_ref());
            match by_id {
                _ if used && names < 2 => {
                    (409, json!({"message": "conflict: image is being used by a container"}))
                }
                Some(at) => {
                    state.untagged.remove(at);
                    (200, json!([{"Deleted": name}]))
                }
                None if state.images.remove(name).is_some() => (200, json!([{"Untagged": name}])),
                None => (404, no_such_image(name)),
            }
        };
        exchange.answer(answer.0, &answer.1)
    }

    pub fn disk_usage(&self, exchange: &mut Exchange) -> io::Result<()> {
        let records: Vec<Value> = {
            let state = self.state();
            let shared = |id: &Option<String>| id.as_ref().is_some_and(|id| state.holds(id));
            let record = state.cache.iter().map(|record| {
                json!({
                    "ID": record.id, "Parent": "", "Type": "regular", "Description": record.description,
                    "LastUsedAt": record.last_used, "CreatedAt": "2026-01-01T00:00:00.5Z",
                    "InUse": false, "Shared": shared(&record.layer_of), "Size": 1_000_000,
                })
            });
            record.collect()
        };
        exchange.answer(200, &json!({"LayersSize": 0, "BuildCache": records}))
    }

    /// What the filter names and no image has as a layer.
    pub fn prune_cache(&self, exchange: &mut Exchange) -> io::Result<()> {
        let filters: Value = serde_json::from_str(&exchange.query["filters"]).expect("filters are JSON");
        let named = match &filters["id"] {
            Value::Array(one) => one[0].as_str().map(str::to_string),
            by_name => by_name.as_object().and_then(|names| names.keys().next().cloned()),
        };
        let named = regex::Regex::new(&named.expect("a filter by id")).expect("a regex");
        let gone: Vec<String> = {
            let mut state = self.state();
            let cache = std::mem::take(&mut state.cache);
            let (gone, left) = cache.into_iter().partition(|record| {
                named.is_match(&record.id) && !record.layer_of.as_ref().is_some_and(|id| state.holds(id))
            });
            state.cache = left;
            Vec::into_iter(gone).map(|record| record.id).collect()
        };
        exchange.answer(200, &json!({"SpaceReclaimed": gone.len() * 1_000_000, "CachesDeleted": gone}))
    }
}

fn no_such_image(name: &str) -> Value {
    json!({"message": format!("No such image: {name}")})
}
