"""Alerts: rules about who follows whom, kept in an outbox until every receiver has got what they tell."""
