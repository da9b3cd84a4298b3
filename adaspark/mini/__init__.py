"""The bundled model: a small Qwen2.5-VL, the synthetic world it learned from, its training."""
