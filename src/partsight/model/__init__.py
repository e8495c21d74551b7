"""From a batch of pictures to logits: backbone, head, loss, optimizer, and the LightningModule that joins them."""
