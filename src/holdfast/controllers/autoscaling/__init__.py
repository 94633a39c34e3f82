"""HorizontalPodAutoscalers: how many pods there should be, by what those that there are use."""
